import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { onTestFinished } from 'vitest'

/** A client of gRPC that shares nothing with ours; `scripts/test-servers.mjs` builds it. */
export const GRPCURL: string = join(
  process.env['NEVE_TEST_SERVERS'] ?? join(homedir(), '.cache/neve-test-servers'),
  'bin/grpcurl',
)

/** Why it cannot be used, if it cannot. */
export const missingGrpcurl: string | undefined = existsSync(GRPCURL) ? undefined : `no ${GRPCURL}`

/** Runs it; gives what it printed. Rejects, with `stderr`, when it fails. */
export async function grpcurl(...args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(GRPCURL, args, { maxBuffer: 2 ** 28 })
  return stdout
}

/** Begins a call without end; it is ended with the test. */
export function grpcurlStream(...args: readonly string[]): ChildProcess {
  const child = spawn(GRPCURL, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => {
    child.kill()
  })
  return child
}
