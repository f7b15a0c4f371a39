// Rendering NARs from the store, warm: `neve nar` to /dev/null as a whole process, and `Store.nar` in this one; against
// `cat` of the same NAR, as a file in the page cache, through a pipe.
import { statSync } from 'node:fs'
import { openStore } from '@neve/store-pathinfo'
import { ContentSource } from './lib/content.mjs'
import { interleave, timed } from './lib/measure.mjs'
import { catThroughPipe, neve, warm } from './lib/process.mjs'
import { rounds, scaled } from './lib/settings.mjs'
import { compareRates, heading, printTable, size } from './lib/table.mjs'
import { copyShare, writeSmallFiles } from './lib/trees.mjs'
import { withWorkDir } from './lib/work-dir.mjs'

const ROUNDS = rounds(5)
const LARGE = scaled(2 * 2 ** 30, 1 << 20)
const LARGE_TARGET = { share: 0.4, rate: 600e6 }

await withWorkDir(async (dir) => {
  heading('rendering a NAR', `median of ${ROUNDS}, warm`)
  console.log('peer: cat NAR | cat >/dev/null')
  const rows = []
  for (const kind of /** @type {const} */ (['random', 'text'])) {
    const file = dir.fresh(kind)
    new ContentSource(4).writeFile(file, LARGE, kind)
    rows.push(...(await compare(file, `${kind}, ${size(LARGE)}`, LARGE_TARGET)))
  }
  const small = dir.fresh('small')
  const { files, bytes } = writeSmallFiles(small)
  rows.push(...(await compare(small, `${files} files, ${size(bytes)}`, { rate: 300e6 })))
  const share = dir.fresh('share')
  if (await copyShare(share)) rows.push(...(await compare(share, 'copy of /usr/share', { rate: 550e6 })))
  printTable(rows)

  /**
   * @param {string} tree removed once it is in the store
   * @param {string} what
   * @param {{ readonly share?: number, readonly rate: number }} target
   */
  async function compare(tree, what, target) {
    const path = dir.fresh('store')
    const { stdout } = await neve(path, ['import', '--json', tree])
    dir.remove(tree)
    /** @type {{ storePath: string, narSize: number | string }} */
    const { storePath, narSize } = JSON.parse(stdout)
    const nar = dir.fresh('nar')
    await neve(path, ['nar', '-o', nar, storePath])
    const length = statSync(nar).size
    if (length !== Number(narSize))
      throw new Error(`${what}: expected a NAR of ${narSize} bytes, got ${length}`)
    dir.settle()
    await warm(nar)
    const store = await openStore(path, { readOnly: true })
    const render = () =>
      timed(async () => {
        let rendered = 0
        for await (const piece of store.nar(storePath)) rendered += piece.length
        if (rendered !== length)
          throw new Error(`${what}: expected a NAR of ${length} bytes, got ${rendered}`)
      })
    await render()
    const times = await interleave(
      {
        process: async () => (await neve(path, ['nar', storePath], { discard: true })).seconds,
        cat: async () => (await catThroughPipe(nar)).seconds,
        library: render,
      },
      ROUNDS,
    )
    await store.close()
    dir.remove(path)
    dir.remove(nar)
    const peer = length / times.cat
    return [
      compareRates(`${what}: neve nar`, length / times.process, peer, target),
      compareRates(`${what}: Store.nar`, length / times.library, peer, target),
    ]
  }
})
