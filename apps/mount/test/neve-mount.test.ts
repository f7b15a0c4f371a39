import { execFile, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'

const run = promisify(execFile)
const PROGRAM = fileURLToPath(new URL('../dist/neve-mount.js', import.meta.url))
const NEVE = fileURLToPath(new URL('neve.js', import.meta.resolve('@neve/cli')))
const FUSE = ['-r', '/dev/fuse', '-a', '-w', '/dev/fuse']
const mayMount = process.env['NEVE_TEST_REQUIRE'] === 'all' || spawnSync('test', FUSE).status === 0

test.skipIf(!mayMount)('mounts a store until it is asked to stop', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'neve-app-mount-'))
  const place = join(folder, 'mount')
  onTestFinished(() => {
    // Fails when it is unmounted already.
    spawnSync('umount', ['-l', place], { stdio: 'ignore' })
    rmSync(folder, { recursive: true })
  })
  mkdirSync(place)
  const file = join(folder, 'hello')
  writeFileSync(file, 'Hello World!')
  const store = join(folder, 'store')
  const { stdout } = await run(process.execPath, [NEVE, 'import', file, '--store', store])
  const child = spawn(process.execPath, [PROGRAM, '--store', store, place], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  onTestFinished(() => {
    child.kill('SIGKILL')
  })
  const ended = once(child, 'exit')
  const [said] = await once(child.stderr, 'data')
  expect(String(said)).toBe(`neve: mounted on ${place}\n`)
  const name = stdout.trim().split('/').at(-1) ?? ''
  const read = await run('cat', [join(place, name)], { timeout: 60_000 })
  expect(read.stdout).toBe('Hello World!')
  child.kill('SIGTERM')
  expect(await ended).toEqual([0, null])
})

test('a mistake in the command line has status 2, and says so in one line', async () => {
  await expect(run(process.execPath, [PROGRAM, '--uid-gid', '1', '/'])).rejects.toMatchObject({
    code: 2,
    stdout: '',
    stderr: expect.stringMatching(/^neve: .*[^\n]*\n$/),
  })
})
