import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'

const PROGRAM = fileURLToPath(new URL('../dist/neve-nar-bridge.js', import.meta.url))

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

test('serves a binary cache until it is asked to stop', async () => {
  const bridge = await start([
    '--listen-address',
    '127.0.0.1:0',
    '--store',
    'memory:',
    '--read-only',
    '--priority',
    '7',
  ])
  const info = await fetch(new URL('/nix-cache-info', bridge.url))
  expect(await info.text()).toBe('StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 7\n')
  bridge.child.kill('SIGTERM')
  expect(await bridge.ended).toEqual([0, null])
})
