// `neve verify --all` as a whole process, with nothing in memory: against reading the same segments from the disk, and
// against BLAKE3 of the same content in one thread. What bounds it besides is shown in brackets: threads that only read,
// expand and hash the records (lib/bare-verify.mjs).
import { join } from 'node:path'
import { blake3 } from '@neve/castore-model'
import { THREADS } from './lib/bare-pipeline.mjs'
import { bareVerify, placesOf } from './lib/bare-verify.mjs'
import { ContentSource } from './lib/content.mjs'
import { interleave, timed } from './lib/measure.mjs'
import { dropCaches } from './lib/mounts.mjs'
import { neve, run } from './lib/process.mjs'
import { rounds, scaled } from './lib/settings.mjs'
import { heading, megabytes, percent, printTable, size } from './lib/table.mjs'
import { writeSmallFiles } from './lib/trees.mjs'
import { withWorkDir } from './lib/work-dir.mjs'

const ROUNDS = rounds(3)
const LARGE = scaled(2 * 2 ** 30, 1 << 20)
/** Of the disk's rate, or of that of BLAKE3 where that is less. */
const SHARE = 0.7

await withWorkDir(async (dir) => {
  if (process.getuid?.() !== 0) {
    console.log('(only root can have the kernel forget what it has read: skipped)')
    return
  }
  heading('verifying', `median of ${ROUNDS}, cold`)
  console.log('peer: reading the segments, or BLAKE3 alone, whichever is slower')
  const rows = []
  const hashing = hashingRate()
  for (const kind of /** @type {const} */ (['random', 'text'])) {
    const file = dir.fresh(kind)
    new ContentSource(6).writeFile(file, LARGE, kind)
    rows.push(...(await compare(file, `${kind}, ${size(LARGE)}`, LARGE)))
  }
  const small = dir.fresh('small')
  const { files, bytes } = writeSmallFiles(small)
  rows.push(...(await compare(small, `${files} files, ${size(bytes)}`, bytes)))
  printTable(rows)

  /**
   * @param {string} tree removed once it is in the store
   * @param {string} what
   * @param {number} content its length, in bytes
   * @returns {Promise<readonly import('./lib/table.mjs').Row[]>}
   */
  async function compare(tree, what, content) {
    const store = dir.fresh('store')
    await neve(store, ['import', tree])
    dir.remove(tree)
    const places = await placesOf(store)
    const cold = async (/** @type {() => Promise<unknown>} */ job) => {
      dropCaches()
      return timed(job)
    }
    const times = await interleave(
      {
        verify: () => cold(() => neve(store, ['verify', '--all'])),
        bare: () => cold(() => bareVerify(store, places)),
        disk: () => cold(() => run('sh', ['-c', 'cat "$1"/* >/dev/null', 'sh', join(store, 'segments')])),
      },
      ROUNDS,
    )
    const slower = Math.max(times.disk, content / hashing)
    return [
      {
        job: `${what}, ${slower === times.disk ? 'the disk' : 'BLAKE3'} being slower`,
        ours: megabytes(content / times.verify),
        peer: megabytes(content / slower),
        ratio: percent(slower / times.verify),
        target: `>= ${percent(SHARE)}`,
        met: slower / times.verify >= SHARE,
      },
      {
        job: `(read, expanded and hashed in ${THREADS} bare threads)`,
        ours: megabytes(content / times.bare),
        peer: megabytes(content / slower),
        ratio: percent(slower / times.bare),
      },
    ]
  }
})

/** What one thread hashes from memory, in bytes a second. */
function hashingRate() {
  const chunk = Buffer.alloc(2 ** 18, 7)
  const rate = () => {
    const count = 1000
    const start = performance.now()
    for (let i = 0; i < count; i++) blake3.digest(chunk)
    return (count * chunk.length) / ((performance.now() - start) / 1000)
  }
  rate()
  return rate()
}
