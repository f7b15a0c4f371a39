import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'

const run = promisify(execFile)
const PROGRAM = fileURLToPath(new URL('../dist/neve-daemon.js', import.meta.url))
const NEVE = fileURLToPath(new URL('neve.js', import.meta.resolve('@neve/cli')))

/** Starts the program; gives what it serves on once it does. */
async function start(args: readonly string[]) {
  const child = spawn(process.execPath, [PROGRAM, ...args], { stdio: ['ignore', 'ignore', 'pipe'] })
  onTestFinished(() => {
    child.kill('SIGKILL')
  })
  const ended = once(child, 'exit')
  let text = ''
  const url = await new Promise<string>((resolve, reject) => {
    child.stderr.on('data', (piece: Buffer) => {
      text += piece.toString()
      const [, serving] = /^neve: serving on (\S+)$/m.exec(text) ?? []
      if (serving !== undefined) resolve(serving)
    })
    void ended.then(([code]) => reject(new Error(`it ended with ${code}: ${text}`)))
  })
  return { url, child, ended }
}

test('serves a whole store, with several processes, until it is asked to stop', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'neve-app-daemon-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'hello')
  writeFileSync(file, 'Hello World!')
  const store = join(folder, 'store')
  const daemon = await start(['--listen-address', join(folder, 'socket'), '--store', store, '--workers', '2'])
  const { stdout } = await run(process.execPath, [NEVE, 'import', file, '--store', daemon.url])
  const read = await run(process.execPath, [NEVE, 'cat', stdout.trim(), '--store', daemon.url])
  expect(read.stdout).toBe('Hello World!')
  daemon.child.kill('SIGTERM')
  expect(await daemon.ended).toEqual([0, null])
})

test('a mistake in the command line has status 2, and says so in one line', async () => {
  const failed = run(process.execPath, [PROGRAM, '--listen-address', 'localhost:8000'])
  await expect(failed).rejects.toMatchObject({
    code: 2,
    stdout: '',
    stderr: expect.stringMatching(/^neve: .*'localhost:8000'[^\n]*\n$/),
  })
})
