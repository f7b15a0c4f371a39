// Importing archives, from the start of the process to its end, everything durable: against `tar -x`, which hashes,
// compresses and syncs nothing, and `nix-store --add` of the tree that it unpacks.
import { spawnSync } from 'node:child_process'
import { mkdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { ContentSource } from './lib/content.mjs'
import { interleave } from './lib/measure.mjs'
import { findNix } from './lib/nix.mjs'
import { neve, run, warm } from './lib/process.mjs'
import { rounds, scaled } from './lib/settings.mjs'
import { compareTimes, heading, printTable, size } from './lib/table.mjs'
import { writeSmallFiles } from './lib/trees.mjs'
import { withWorkDir } from './lib/work-dir.mjs'

const ROUNDS = rounds(3)
const LARGE = scaled(2 ** 30, 1 << 20)
/** What `tar` calls them, beside none. */
const COMPRESSIONS = ['gzip', 'zstd', 'xz']

await withWorkDir(async (dir) => {
  heading('import of archives', `median of ${ROUNDS}, cold start included`)
  const nix = await findNix(dir)
  const small = dir.fresh('small')
  const { files, bytes } = writeSmallFiles(small)
  const large = dir.fresh('large')
  mkdirSync(large)
  new ContentSource(4).writeFile(join(large, 'file'), LARGE, 'mixed')
  printTable([
    ...(await compare(small, `${files} files, ${size(bytes)}`)),
    ...(await compare(large, `one file of ${size(LARGE)}`)),
  ])

  /**
   * @param {string} tree
   * @param {string} what
   */
  async function compare(tree, what) {
    const rows = []
    for (const compression of [undefined, ...COMPRESSIONS]) {
      const archive = pack(tree, compression)
      if (archive === undefined) continue
      await warm(archive)
      /** @type {Set<string>} */
      const answers = new Set()
      const times = await interleave(
        {
          neve: async () => {
            const store = dir.fresh('store')
            dir.settle()
            const args = ['import-archive', '--name', 'tree', archive]
            const { seconds, stdout } = await neve(store, args)
            answers.add(stdout.trim())
            return seconds
          },
          tar: () => unpack(archive, dir.fresh('unpacked')),
          ...(nix && {
            nix: async () => {
              const folder = dir.fresh('unpacked')
              const unpacking = await unpack(archive, folder)
              const { seconds, storePath } = await nix.add(join(folder, 'tree'))
              answers.add(storePath)
              return unpacking + seconds
            },
          }),
        },
        ROUNDS,
      )
      if (answers.size !== 1) throw new Error(`${what}: the store paths differ: ${[...answers].join(', ')}`)
      const name = `${what}, ${compression ?? 'not compressed'} (${size(statSync(archive).size)})`
      rows.push(compareTimes(`${name}: against tar -x`, times.neve, times.tar))
      rows.push(compareTimes(`${name}: against tar -x and nix-store --add`, times.neve, times.nix))
    }
    return rows
  }

  /**
   * @param {string} tree
   * @param {string | undefined} compression
   * @returns {string | undefined} the archive; undefined, and a line for a person, when there is no such program
   */
  function pack(tree, compression) {
    const archive = dir.fresh('archive.tar')
    const rename = `--transform=s,^[.],tree,`
    const flags = compression === undefined ? [] : [`--${compression}`]
    const { status } = spawnSync('tar', ['-c', ...flags, rename, '-f', archive, '-C', tree, '.'])
    if (status === 0) return archive
    console.log(`(tar cannot compress with ${compression}: skipped)`)
    return undefined
  }

  /**
   * @param {string} archive
   * @param {string} folder made here
   */
  async function unpack(archive, folder) {
    mkdirSync(folder)
    dir.settle()
    const { seconds } = await run('tar', ['-x', '-f', archive, '-C', folder])
    return seconds
  }
})
