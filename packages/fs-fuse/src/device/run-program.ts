import { spawn } from 'node:child_process'
import { MountError } from './mount-error.js'

/**
 * Runs a program to its end, without standing still: it may look at a mount that this thread serves.
 *
 * @param descriptor what the program finds as descriptor 3
 * @throws MountError with what it says when it fails
 */
export async function runProgram(
  mountpoint: string,
  program: string,
  args: readonly string[],
  { descriptor, environment }: { descriptor?: number; environment?: Record<string, string> } = {},
): Promise<void> {
  const child = spawn(program, args, {
    stdio: ['ignore', 'ignore', 'pipe', ...(descriptor === undefined ? [] : [descriptor])],
    env: { ...process.env, ...environment, LC_ALL: 'C' },
    cwd: '/',
  })
  let said = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', (cause) => {
      const missing = 'code' in cause && cause.code === 'ENOENT'
      const detail = missing ? `${program} is not installed` : `cannot run ${program}: ${cause.message}`
      reject(new MountError(mountpoint, detail, { cause }))
    })
    child.once('close', resolve)
  })
  if (code !== 0) throw new MountError(mountpoint, said.trim() || `${program} exited with ${code}`)
}
