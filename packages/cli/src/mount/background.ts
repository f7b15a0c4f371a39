import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Context } from '../context.js'

/** Tells a process which one it works in the background of. */
const VARIABLE = 'NEVE_BACKGROUND_OF'

/** Whether this process is the one in the background. */
export function isInBackground(): boolean {
  return process.env[VARIABLE] === String(process.ppid) && process.send !== undefined
}

/** Tells the process in the foreground that everything works, and lets go of it and of its terminal. */
export async function letGo(): Promise<void> {
  await new Promise((resolve) => process.send?.('ready', resolve))
  process.disconnect()
}

/**
 * Runs this command once more, in a session of its own, and waits until it works. What it has to say until then goes to
 * standard error; what it says later, nobody hears.
 */
export async function runInBackground(context: Context): Promise<void> {
  const { signal, stderr } = context.io
  const child = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
    detached: true,
    env: { ...process.env, [VARIABLE]: String(process.pid) },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  })
  child.stderr!.on('data', (piece: Buffer) => stderr.write(piece.toString()))
  const stop = () => void child.kill('SIGTERM')
  signal.addEventListener('abort', stop, { once: true })
  if (signal.aborted) stop()
  const ready = once(child, 'message').then(() => true)
  const ended = once(child, 'close').then(() => false)
  if (await Promise.race([ready, ended])) {
    child.stderr!.destroy()
    child.unref()
    return
  }
  // It has said why.
  context.exitCode = child.exitCode === 2 ? 2 : 1
}
