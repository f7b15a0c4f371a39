import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startDaemon } from './servers.js'
import { neve, sampleTree, temporaryFolder } from './support.js'

const README = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8')
const SHOWN_PATH = '/nix/store/y1yb065zx5yqqpvcvzggdyif4xvf5hd1-result'

/** The commands of the README's block about one daemon, as words. */
function shownCommands(): string[][] {
  const block = /one place to another:\n\n```console\n(.*?)```/s.exec(README)?.[1] ?? ''
  return block
    .split('\n')
    .filter((line) => line.startsWith('$ neve '))
    .map((line) => line.slice('$ neve '.length).split(' '))
}

test('what the README shows of one daemon works as it is shown', async () => {
  const folder = temporaryFolder()
  const store = join(folder, 'store')
  const { lines } = await neve(['import', '--store', store, sampleTree(folder)])
  const commands = shownCommands()
  expect(commands.map(([name]) => name)).toEqual([
    'daemon',
    'push',
    'path-info',
    'verify',
    'pull',
    'verify',
    'copy-castore',
  ])
  const socket = join(folder, 'neve.sock')
  const real = (word: string): string =>
    word
      .replace('/run/neve.sock', socket)
      .replace(SHOWN_PATH, lines[0]!)
      .replace('./elsewhere', join(folder, 'elsewhere'))
  for (const [name, ...words] of commands) {
    const args = words.filter((word) => word !== '&').map(real)
    if (name === 'daemon') await startDaemon([...args, '--store', join(folder, 'served')], {}, 'daemon')
    // A bucket is nothing that everybody has.
    else if (name !== 'copy-castore') {
      const ran = await neve([name!, ...args], { env: { NEVE_STORE: store } })
      expect([name, ran.code, ran.stderr]).toEqual([name, 0, ''])
    }
  }
  const nar = (await neve(['nar', '--store', store, lines[0]!])).stdout
  const pulled = await neve(['nar', '--store', join(folder, 'elsewhere'), lines[0]!])
  expect(pulled.stdout.equals(nar)).toBe(true)
})
