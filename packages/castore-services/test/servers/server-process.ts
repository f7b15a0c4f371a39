import { type ChildProcess, spawn } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../../../../scripts/free-port.mjs'

/** Where `scripts/test-servers.mjs` puts what it builds. */
export const SERVER_FOLDER = process.env['NEVE_TEST_SERVERS'] ?? join(homedir(), '.cache/neve-test-servers')

/** The first of these files that is there. */
export function findProgram(...candidates: readonly string[]): string | undefined {
  return candidates.find((candidate) => existsSync(candidate))
}

/** How to start a program that listens. */
export interface ServerProgram {
  readonly file: string
  /** @param folder temporary, removed when the server has ended */
  readonly args: (port: number, folder: string) => readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

/** A program that listens on a port of its own. */
export class ServerProcess {
  readonly #child: ChildProcess
  readonly #onExit: () => void
  #output = ''

  private constructor(
    program: ServerProgram,
    readonly port: number,
    readonly folder: string,
  ) {
    this.#child = spawn(program.file, program.args(port, folder), {
      cwd: folder,
      env: { ...process.env, ...program.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const keep = (text: Buffer) => {
      this.#output = `${this.#output}${text}`.slice(-4000)
    }
    this.#child.stdout?.on('data', keep)
    this.#child.stderr?.on('data', keep)
    this.#child.on('error', (error) => keep(Buffer.from(error.message)))
    this.#onExit = () => this.#child.kill('SIGKILL')
    process.on('exit', this.#onExit)
  }

  /** Starts a program, and waits until it listens. */
  static async start(program: ServerProgram, prepare?: (folder: string) => void): Promise<ServerProcess> {
    for (let attempt = 1; ; attempt++) {
      const folder = mkdtempSync(join(tmpdir(), 'neve-server-'))
      // One of them gives up its rights, and has to find its files still.
      chmodSync(folder, 0o755)
      prepare?.(folder)
      const server = new ServerProcess(program, await freePort(), folder)
      try {
        await server.#listening()
        return server
      } catch (error) {
        await server.stop()
        // Somebody else may have taken the port.
        if (attempt === 3) throw error
      }
    }
  }

  /** Ends it, and removes its folder. */
  async stop(): Promise<void> {
    process.off('exit', this.#onExit)
    if (this.#child.pid !== undefined && this.#isRunning) {
      const ended = new Promise((resolve) => this.#child.once('exit', resolve))
      this.#child.kill('SIGTERM')
      const late = setTimeout(() => this.#child.kill('SIGKILL'), 5000)
      await ended
      clearTimeout(late)
    }
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 })
  }

  get #isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  async #listening(): Promise<void> {
    const deadline = Date.now() + 60_000
    while (!(await accepts(this.port))) {
      if (!this.#isRunning || this.#child.pid === undefined || Date.now() > deadline) {
        throw new Error(`${this.#child.spawnfile} does not listen: ${this.#output}`)
      }
      await sleep(25)
    }
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' })
    const end = (answer: boolean) => {
      socket.destroy()
      resolve(answer)
    }
    socket.once('connect', () => end(true))
    socket.once('error', () => end(false))
  })
}
