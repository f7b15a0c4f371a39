import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { onTestFinished } from 'vitest'
import { NEVE, temporaryFolder } from './support.js'

const execute = promisify(execFile)
/** No reader waits longer: one that hangs is a failure, not a hanging test. */
const PATIENCE = 60_000

/** A `neve mount` that runs, unmounted when the test ends. */
export interface RunningMount {
  readonly place: string
  readonly child: ChildProcess
  /** What it has written on standard error so far. */
  readonly stderr: () => string
  /** Unmounts from outside, and gives the exit status. */
  readonly unmount: () => Promise<number | null>
}

/** Why nothing can be mounted here, if so. */
export function missingMounts(): string | undefined {
  if (process.getuid?.() !== 0) return 'these mounts need root'
  return spawnSync('test', ['-w', '/dev/fuse']).status === 0 ? undefined : '/dev/fuse cannot be used'
}

/** A directory to mount on, where nothing is mounted any more once the test has ended. */
export function mountPoint(): string {
  const place = join(temporaryFolder(), 'mount')
  mkdirSync(place)
  // Fails when it is unmounted already.
  onTestFinished(() => void spawnSync('umount', ['-i', '-l', place], { stdio: 'ignore' }))
  return place
}

/** Mounts, and waits until it is said to be. */
export async function startMount(
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
  place: string = mountPoint(),
  flags: readonly string[] = [],
): Promise<RunningMount> {
  const { PATH, HOME } = process.env
  const child = spawn(process.execPath, [NEVE, ...args, 'mount', '--list-root', ...flags, place], {
    env: { PATH, HOME, ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  const ended = once(child, 'exit').then(([code]) => code as number | null)
  let text = ''
  await new Promise<void>((resolve, reject) => {
    child.stderr!.on('data', (piece: Buffer) => {
      text += piece.toString()
      if (text.includes(`neve: mounted on ${place}\n`)) resolve()
    })
    void ended.then((code) => reject(new Error(`it ended with ${code}: ${text}`)))
  })
  const unmount = async () => {
    await execute('umount', [place], { timeout: PATIENCE })
    return ended
  }
  return { place, child, stderr: () => text, unmount }
}

export function isMounted(place: string): boolean {
  return readFileSync('/proc/self/mounts', 'utf8').includes(` ${place} `)
}

/** Runs a program that looks at a mount; gives what it prints. Rejects when it fails, or takes too long. */
export async function look(program: string, args: readonly string[], cwd = '/'): Promise<string> {
  const { stdout } = await execute(program, args, { cwd, timeout: PATIENCE, maxBuffer: 2 ** 26 })
  return stdout
}

/** A script of bash, with `$1` and so on, that ends at the first failure. */
export function script(text: string, ...args: string[]): Promise<string> {
  return look('bash', ['-euo', 'pipefail', '-c', text, 'bash', ...args])
}

/** As {@link script}, in a mount namespace of its own. */
export function scriptWithMounts(text: string, ...args: string[]): Promise<string> {
  return look('unshare', ['--mount', 'bash', '-euo', 'pipefail', '-c', text, 'bash', ...args])
}
