import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { onTestFinished, type TestContext } from 'vitest'

const SOURCE = fileURLToPath(new URL('./disk-shim.c', import.meta.url))

/** A folder that goes with the test: in memory where that is possible, because syncs are many and cost nothing there. */
export function memoryFolder(): string {
  const parent = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()
  const folder = mkdtempSync(join(parent, 'neve-disk-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/**
 * Compiles the shim. Where there is no compiler, or no LD_PRELOAD, the test is skipped, unless it must run.
 *
 * @returns what a process is to have in its environment
 */
export function diskShim(context: TestContext, folder: string): NodeJS.ProcessEnv {
  const library = join(folder, 'disk-shim.so')
  const compiled = spawnSync(
    'cc',
    ['-shared', '-fPIC', '-O1', '-Wall', '-Wextra', '-Werror', '-o', library, SOURCE, '-ldl'],
    { encoding: 'utf8' },
  )
  if (process.platform !== 'linux' || compiled.status !== 0) {
    const reason = `cannot compile the shim: ${compiled.stderr || compiled.error?.message || process.platform}`
    if (process.env['NEVE_TEST_REQUIRE'] === 'all') throw new Error(reason)
    context.skip(reason)
  }
  return { ...process.env, LD_PRELOAD: library, UV_USE_IO_URING: '0' }
}
