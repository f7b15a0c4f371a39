// Importing one large file that is in the page cache, everything durable: against the bare work on its bytes in as many
// threads (lib/bare-pipeline.mjs). `importPath` takes the NAR hash in the same pass. What bounds each is shown beside it:
// SHA-256 of the bytes in one thread, and writing what was stored and waiting for the disk.
import { statSync } from 'node:fs'
import { ingestPath } from '@neve/castore-services/ingest/filesystem'
import { openStore } from '@neve/store-pathinfo'
import { barePipeline, THREADS } from './lib/bare-pipeline.mjs'
import { ContentSource } from './lib/content.mjs'
import { sha256Alone, writeAndSync } from './lib/floors.mjs'
import { interleave, timed } from './lib/measure.mjs'
import { neve, warm } from './lib/process.mjs'
import { rounds, scaled } from './lib/settings.mjs'
import { compareRates, heading, megabytes, printTable, size } from './lib/table.mjs'
import { withWorkDir } from './lib/work-dir.mjs'

const ROUNDS = rounds(3)
const BYTES = scaled(2 * 2 ** 30, 1 << 20)
const SHARE_OF_BARE = 0.7

await withWorkDir(async (dir) => {
  heading('import of a large file', `${size(BYTES)}, median of ${ROUNDS}`)
  console.log(`peer: BLAKE3, FastCDC and zstd -1 alone, in ${THREADS} threads`)
  const rows = []
  for (const kind of /** @type {const} */ (['random', 'text'])) rows.push(...(await compare(kind)))
  printTable(rows)
  console.log("  All rates are of the file's bytes; what stands in brackets bounds the lines above it.")

  /** @param {'random' | 'text'} kind */
  async function compare(kind) {
    const file = dir.fresh(kind)
    new ContentSource(3).writeFile(file, BYTES, kind)
    await warm(file)
    let storedBytes = 0
    const times = await interleave(
      {
        bare: () => barePipeline(file, BYTES),
        ingest: () => intoFreshStore(async (store) => void (await ingestPath(store, file))),
        bareWithChunks: () => barePipeline(file, BYTES, { chunkDigests: true }),
        import: () =>
          intoFreshStore(async (store) => {
            storedBytes = (await store.importPath(file)).storedBytes
          }),
        command: () => importByCommand(file),
        sha256: () => sha256Alone(file),
        write: () => writeOnly(storedBytes),
      },
      ROUNDS,
    )
    const bare = BYTES / times.bare
    const target = { share: SHARE_OF_BARE }
    const plain = (/** @type {string} */ job, /** @type {number} */ rate) => ({
      job: `${kind}: ${job}`,
      ours: megabytes(rate),
    })
    dir.remove(file)
    return [
      compareRates(`${kind}: ingestPath`, BYTES / times.ingest, bare, target),
      compareRates(`${kind}: importPath, with the NAR hash`, BYTES / times.import, bare, target),
      compareRates(`${kind}: neve import, whole process`, BYTES / times.command, bare),
      plain('(bare work with a digest of each chunk)', BYTES / times.bareWithChunks),
      plain('(SHA-256 alone, one thread)', BYTES / times.sha256),
      plain(`(write and sync the ${size(storedBytes)} stored for it)`, BYTES / times.write),
    ]
  }

  /** @param {(store: import('@neve/store-pathinfo').Store) => Promise<void>} job */
  async function intoFreshStore(job) {
    const path = dir.fresh('store')
    dir.settle()
    const seconds = await timed(async () => {
      const store = await openStore(path)
      await job(store)
      await store.close()
    })
    dir.remove(path)
    return seconds
  }

  /** @param {string} file */
  async function importByCommand(file) {
    const path = dir.fresh('store')
    dir.settle()
    const { seconds } = await neve(path, ['import', file])
    dir.remove(path)
    return seconds
  }

  /** @param {number} bytes */
  async function writeOnly(bytes) {
    const path = dir.fresh('plain')
    dir.settle()
    const seconds = await writeAndSync(path, bytes)
    if (statSync(path).size !== bytes) throw new Error(`${path}: expected ${bytes} bytes`)
    dir.remove(path)
    return seconds
  }
})
