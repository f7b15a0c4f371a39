import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { neve, noise, sampleTree, temporaryFolder } from './support.js'

const GUIDE = readFileSync(new URL('../../../docs/operations.md', import.meta.url), 'utf8')
const SHOWN = '/nix/store/y1yb065zx5yqqpvcvzggdyif4xvf5hd1-result'
const SHOWN_OTHER = '/nix/store/6zz6rdnrwgvmg61lhz5bk2pxbkzx6cc8-other'

/** The commands of the blocks that follow a heading, as words. */
function commandsUnder(heading: string): string[][] {
  const section = GUIDE.split(/^## /m).find((text) => text.startsWith(`${heading}\n`)) ?? ''
  const blocks = [...section.matchAll(/^```console\n(.*?)^```$/gms)].map(([, block]) => block!)
  const lines = blocks.flatMap((block) => block.split('\n')).filter((line) => line.startsWith('$ neve '))
  return lines.map((line) => line.slice('$ neve '.length).split(' '))
}

/** A store with the two store paths that the guide speaks of. */
async function guideStore() {
  const folder = temporaryFolder()
  const store = join(folder, 'store')
  const other = join(folder, 'other')
  mkdirSync(other)
  writeFileSync(join(other, 'large'), noise(1_000_000))
  const { lines } = await neve(['import', '--store', store, sampleTree(folder), other])
  const real = (word: string): string => word.replace(SHOWN, lines[0]!).replace(SHOWN_OTHER, lines[1]!)
  return { folder, store, real }
}

test('what docs/operations.md shows of looking into a store works as it is shown', async () => {
  const { store, real } = await guideStore()
  const commands = commandsUnder('What a store holds')
  expect(commands.map(([, name]) => name)).toEqual(['info', 'info', 'du', 'why', 'diff'])
  for (const words of commands) {
    const ran = await neve(words.map(real), { env: { NEVE_STORE: store } })
    expect([words.join(' '), ran.code, ran.stderr]).toEqual([words.join(' '), 0, ''])
    expect(ran.lines.length).toBeGreaterThan(0)
  }
})
