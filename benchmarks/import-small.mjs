// Importing many small files, from the start of the process to its end, everything durable: against `nix-store --add`,
// which syncs nothing to disk. Then the same tree again, unchanged, into the same store.
//
// A file that changed within the last 50 ms (2.5 s where the filesystem keeps coarse times) is not recorded as
// unchanged and is read again the next time; the trees are written long enough before the first import.
import { interleave } from './lib/measure.mjs'
import { findNix } from './lib/nix.mjs'
import { neve } from './lib/process.mjs'
import { rounds } from './lib/settings.mjs'
import { compareTimes, heading, printTable, size } from './lib/table.mjs'
import { copyShare, writeSmallFiles } from './lib/trees.mjs'
import { withWorkDir } from './lib/work-dir.mjs'

const ROUNDS = rounds(5)
const SECOND_IMPORT = 3

await withWorkDir(async (dir) => {
  heading('import of small files', `median of ${ROUNDS}, cold start included`)
  const nix = await findNix(dir)
  const small = dir.fresh('small')
  const { files, bytes } = writeSmallFiles(small)
  const rows = await compare(small, `${files} files, ${size(bytes)}`, 1.7)
  const share = dir.fresh('share')
  if (await copyShare(share)) rows.push(...(await compare(share, 'copy of /usr/share')))
  printTable(rows)
  console.log('  The goal for the first line is 2.5x.')

  /**
   * @param {string} tree
   * @param {string} what
   * @param {number} [atLeast]
   */
  async function compare(tree, what, atLeast) {
    /** @type {Set<string>} */
    const answers = new Set()
    let store = ''
    const times = await interleave(
      {
        first: async () => {
          if (store !== '') dir.remove(store)
          store = dir.fresh('store')
          return importTree()
        },
        second: () => importTree(),
        ...(nix && {
          nix: async () => {
            const { seconds, storePath } = await nix.add(tree)
            answers.add(storePath)
            return seconds
          },
        }),
      },
      ROUNDS,
    )
    dir.remove(store)
    if (answers.size !== 1) throw new Error(`${what}: the store paths differ: ${[...answers].join(', ')}`)
    return [
      compareTimes(`${what}: against nix-store --add`, times.first, times.nix, atLeast),
      compareTimes(
        `${what}: again, unchanged, against the first time`,
        times.second,
        times.first,
        SECOND_IMPORT,
      ),
    ]

    async function importTree() {
      dir.settle()
      const { seconds, stdout } = await neve(store, ['import', tree])
      answers.add(stdout.trim())
      return seconds
    }
  }
})
