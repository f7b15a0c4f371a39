import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { temporaryFolder } from './support.js'

/** Real Nix with stores of its own (spec 09 section 16): `nix` and `nix-store`, by the name of the program. */
export class PrivateNix {
  readonly #home = temporaryFolder()

  constructor() {
    const conf =
      'experimental-features = nix-command\nsubstituters =\nsandbox = false\nbuild-users-group =\nrequire-sigs = false\n'
    writeFileSync(join(this.#home, 'nix.conf'), conf)
  }

  /** The address of a private root. */
  root(name: string): string {
    return join(this.#home, name)
  }

  /** @returns what it printed */
  run(program: 'nix' | 'nix-store', ...args: string[]): Buffer {
    const env = { ...process.env, HOME: this.#home, NIX_CONF_DIR: this.#home }
    const { status, stdout, stderr } = spawnSync(program, args, { env, maxBuffer: 2 ** 28 })
    if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr}`)
    return stdout
  }

  /** Adds a host path to a root and writes it into a new binary cache. */
  writeCache(path: string, options: string): { readonly storePath: string; readonly folder: string } {
    const folder = join(temporaryFolder(), 'cache')
    const storePath = this.run('nix-store', '--store', this.root('from'), '--add', path).toString().trim()
    this.run('nix', 'copy', '--store', this.root('from'), '--to', `file://${folder}?${options}`, storePath)
    return { storePath, folder }
  }
}

/** The one file of a folder that ends so. */
export function fileEnding(folder: string, ending: string): Buffer {
  const name = readdirSync(folder).find((entry) => entry.endsWith(ending))
  if (name === undefined) throw new Error(`${folder} has no file that ends in ${ending}`)
  return readFileSync(join(folder, name))
}

/** Writes a binary cache of one NAR, with a narinfo that says what the arguments say. */
export function makeCache(
  storePath: string,
  nar: { readonly file: string; readonly bytes: Uint8Array; readonly compression: string },
  measure: { readonly narSize: bigint; readonly narHash: string },
): string {
  const folder = join(temporaryFolder(), 'cache')
  mkdirSync(join(folder, 'nar'), { recursive: true })
  writeFileSync(join(folder, 'nix-cache-info'), 'StoreDir: /nix/store\n')
  writeFileSync(join(folder, 'nar', nar.file), nar.bytes)
  const hash = storePath.slice('/nix/store/'.length).split('-')[0]
  writeFileSync(
    join(folder, `${hash}.narinfo`),
    `StorePath: ${storePath}\nURL: nar/${nar.file}\nCompression: ${nar.compression}\nNarHash: ${measure.narHash}\nNarSize: ${measure.narSize}\nReferences: \n`,
  )
  return folder
}
