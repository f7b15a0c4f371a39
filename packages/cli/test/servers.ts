import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { NEVE, temporaryFolder } from './support.js'

/** A `neve daemon` or `neve castore-daemon` that runs. */
export interface Daemon {
  readonly child: ChildProcess
  /** Addresses for both kinds of services. */
  readonly urls: readonly string[]
  /** What it has written on standard error so far. */
  readonly stderr: () => string
  /** Settles when it has written this on standard error. */
  readonly says: (text: string) => Promise<void>
  /** Asks it to stop; gives its exit status, or the signal that ended it. */
  readonly stop: (signal?: NodeJS.Signals) => Promise<number | NodeJS.Signals | null>
  /** Settles with the same when it has ended. */
  readonly ended: Promise<number | NodeJS.Signals | null>
}

/** Starts a daemon, and waits until it says where it serves. It is ended with the test. */
export async function startDaemon(
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
  command = 'castore-daemon',
  { cwd }: { readonly cwd?: string } = {},
): Promise<Daemon> {
  const { PATH, HOME } = process.env
  const child = spawn(process.execPath, [NEVE, command, ...args], {
    env: { PATH, HOME, ...env },
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    cwd,
  })
  onTestFinished(() => {
    child.kill('SIGKILL')
  })
  let text = ''
  const ended = once(child, 'exit').then(
    ([code, signal]) => (code ?? signal) as number | NodeJS.Signals | null,
  )
  const urls = await new Promise<readonly string[]>((resolve, reject) => {
    child.stderr!.on('data', (piece: Buffer) => {
      text += piece.toString()
      const serving = /^neve: serving on (.*)\n/m.exec(text) ?? /"msg":"serving on ([^"]*)"/.exec(text)
      if (serving !== null) resolve(serving[1]!.split(' '))
    })
    void ended.then((how) => reject(new Error(`it ended with ${how}: ${text}`)))
  })
  const says = async (wanted: string): Promise<void> => {
    while (!text.includes(wanted)) await once(child.stderr!, 'data')
  }
  const stop = (signal: NodeJS.Signals = 'SIGTERM') => {
    child.kill(signal)
    return ended
  }
  return { child, urls, stderr: () => text, says, stop, ended }
}

/** A daemon on a unix socket, over a store of its own. */
export function startSocketDaemon(...args: string[]): Promise<SocketDaemon> {
  return startOnSocket('castore-daemon', ...args)
}

/** A daemon on a unix socket. */
export interface SocketDaemon extends Daemon {
  readonly store: string
  readonly socket: string
}

/** A daemon of either kind on a unix socket, over a store of its own. */
export async function startOnSocket(command: string, ...args: string[]): Promise<SocketDaemon> {
  const folder = temporaryFolder()
  const store = join(folder, 'served')
  const socket = join(folder, 's.sock')
  const daemon = await startDaemon(['-l', socket, '--store', store, ...args], {}, command)
  return { ...daemon, store, socket }
}

/** Options for blobs and directories at one address. */
export function at(address: string): string[] {
  return ['--blob-service-addr', address, '--directory-service-addr', address]
}

/** Does something once the segments of a store have more than so many bytes, unless the test ends before. */
export function whenGrown(store: string, bytes: number, then: () => void): void {
  const segments = join(store, 'segments')
  const size = (): number => {
    if (!existsSync(segments)) return 0
    return readdirSync(segments).reduce((sum, name) => sum + statSync(join(segments, name)).size, 0)
  }
  const poll = setInterval(() => {
    if (size() < bytes) return
    clearInterval(poll)
    then()
  }, 5)
  onTestFinished(() => clearInterval(poll))
}
