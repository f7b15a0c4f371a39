import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { temporaryFolder } from './support.js'

/** How a program ended. */
export interface Ran {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Real Nix with a private root and memory of its own (spec 09 section 16). */
export class PrivateNix {
  readonly #home = temporaryFolder()
  /** The address of the private root. */
  readonly root = join(this.#home, 'root')

  /** @param conf more lines of nix.conf */
  constructor(conf = '') {
    mkdirSync(this.root)
    const fixed =
      'experimental-features = nix-command ca-derivations\nsandbox = false\nbuild-users-group =\nnarinfo-cache-negative-ttl = 0\n'
    const lines = conf.includes('substituters') ? conf : `substituters =\n${conf}`
    writeFileSync(join(this.#home, 'nix.conf'), fixed + lines)
  }

  /** Runs a program without blocking: the server that it asks may be in this process. */
  async try(program: string, ...args: string[]): Promise<Ran> {
    const env = { ...process.env, HOME: this.#home, NIX_CONF_DIR: this.#home, NIX_REMOTE: this.root }
    const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
    let [stdout, stderr] = ['', '']
    child.stdout.on('data', (piece) => {
      stdout += piece
    })
    child.stderr.on('data', (piece) => {
      stderr += piece
    })
    const status = await new Promise<number | null>((resolve) => child.once('close', resolve))
    return { status, stdout, stderr }
  }

  /** @returns what it printed, without the last line break */
  async run(program: string, ...args: string[]): Promise<string> {
    const { status, stdout, stderr } = await this.try(program, ...args)
    if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${status}: ${stderr}`)
    return stdout.trimEnd()
  }
}

/** Whether a program can be run. What needs it is skipped without; where all is required, it fails. */
export function programIsThere(program: string, argument = '--version'): boolean {
  if (spawnSync(program, [argument]).status === 0) return true
  if (process.env['NEVE_TEST_REQUIRE'] === 'all') throw new Error(`${program} is missing`)
  return false
}

export const nixIsThere = programIsThere('nix')
