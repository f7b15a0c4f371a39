// Blobs and directories in object stores. On local files, durable: the tree of small files against the time that the
// reference takes for it, which syncs nothing; a large file against the embedded store. In a bucket of S3, served by
// versitygw on the same machine: one blob written, and read by a service that knows nothing of it; against the same
// client that puts and gets as many objects of the same length and does nothing else. `cpu` is what this
// process took, over all its threads: on a busy machine it says more than the time does.
import './lib/heap.mjs'
import { blobStream } from '@neve/castore-services'
import { EmbeddedBlobService } from '@neve/castore-services/blob/embedded'
import { ObjectStoreBlobService } from '@neve/castore-services/blob/object-store'
import { EmbeddedDirectoryService } from '@neve/castore-services/directory/embedded'
import { ObjectStoreDirectoryService } from '@neve/castore-services/directory/object-store'
import { ingestPath } from '@neve/castore-services/ingest/filesystem'
import { FileObjectStore, openObjectStore } from '@neve/castore-services/object-store'
import { EmbeddedStore } from '@neve/embedded-store'
import { ContentSource } from './lib/content.mjs'
import { interleave, timed } from './lib/measure.mjs'
import { warm } from './lib/process.mjs'
import { rounds, SCALE, scaled } from './lib/settings.mjs'
import { compareRates, compareTimes, heading, mebibytes, printTable, seconds, size } from './lib/table.mjs'
import { writeSmallFiles } from './lib/trees.mjs'
import { startVersitygw } from './lib/versitygw.mjs'
import { withWorkDir } from './lib/work-dir.mjs'

const ROUNDS = rounds(3)
const LARGE = scaled(2 * 2 ** 30, 1 << 20)
const BLOB = scaled(2 ** 30, 1 << 20)
const PIECE = 1 << 20
/** What the bare client moves: objects as long as chunks are on average, as many at once as the services have. */
const CHUNK = 256 * 1024
const AT_ONCE = 32
/** What the reference takes for the 40,000 files, by its own account of the same machine; it syncs nothing. */
const REFERENCE_SECONDS = 14 * SCALE
const MEMORY_LIMIT = 256 * 2 ** 20

/** @typedef {import('./lib/table.mjs').Row} Row */

/** What this process takes of the processors. */
class CpuTime {
  /** @type {Map<string, number>} */
  #last = new Map()

  /**
   * @param {string} name
   * @param {() => Promise<unknown>} job
   * @returns {Promise<number>} seconds that it took
   */
  async of(name, job) {
    const start = process.cpuUsage()
    const time = await timed(job)
    const { user, system } = process.cpuUsage(start)
    this.#last.set(name, (user + system) / 1e6)
    return time
  }

  /** @param {string} name */
  last(name) {
    return seconds(this.#last.get(name) ?? 0)
  }
}

await withWorkDir(async (dir) => {
  heading('object stores', `median of ${ROUNDS}`)
  const rows = [...(await bucket()), ...(await smallFiles()), ...(await largeFile())]
  printTable(rows)

  /** @returns {Promise<Row[]>} */
  async function smallFiles() {
    const tree = dir.fresh('small')
    const { files, bytes } = writeSmallFiles(tree)
    let root = ''
    const cpu = new CpuTime()
    const times = await interleave(
      {
        // Earlier stores stay until the end: an ext4 without a journal does not give inodes out again for minutes after
        // they were freed, and looks at each of them for every file that is made.
        first: async () => {
          root = dir.fresh('store')
          dir.settle()
          return cpu.of('first', () => intoFiles(root, tree))
        },
        second: () => cpu.of('second', () => intoFiles(root, tree)),
      },
      ROUNDS,
    )
    const what = `files: ${files} files, ${size(bytes)}`
    return [
      compareTimes(`${what}, cpu ${cpu.last('first')}`, times.first, REFERENCE_SECONDS, 2),
      compareTimes(
        `${what}: again, everything verified, cpu ${cpu.last('second')}`,
        times.second,
        times.first,
      ),
    ]
  }

  /** @returns {Promise<Row[]>} */
  async function largeFile() {
    const rows = []
    for (const kind of /** @type {const} */ (['random', 'text'])) {
      const file = dir.fresh(kind)
      new ContentSource(3).writeFile(file, LARGE, kind)
      await warm(file)
      const cpu = new CpuTime()
      const times = await interleave(
        {
          embedded: () => intoFresh((root) => cpu.of('embedded', () => intoEmbedded(root, file))),
          files: () => intoFresh((root) => cpu.of('files', () => intoFiles(root, file))),
        },
        ROUNDS,
      )
      dir.remove(file)
      const job = `files: ${size(LARGE)} of ${kind}, cpu ${cpu.last('files')}, against embedded, cpu ${cpu.last('embedded')}`
      rows.push(compareRates(job, LARGE / times.files, LARGE / times.embedded, { share: 0.6 }))
    }
    return rows
  }

  /** @returns {Promise<Row[]>} */
  async function bucket() {
    const data = dir.fresh('s3')
    const server = await startVersitygw(data)
    if (server === undefined) {
      console.log('(versitygw is not installed: S3 skipped; see scripts/test-servers.mjs)')
      return []
    }
    try {
      const source = new ContentSource(9)
      const cpu = new CpuTime()
      let round = 0
      const chunk = source.random(CHUNK)
      /** @param {(store: import('@neve/castore-services/object-store').ObjectStore, key: string) => Promise<unknown>} request */
      const bare = async (request) => {
        const store = await openObjectStore('s3://bucket/bare', server.options)
        let next = 0
        const run = async () => {
          for (let number = next++; number < BLOB / CHUNK; number = next++) {
            await request(store, `${(number % 256).toString(16)}/${number}`)
          }
        }
        const time = await timed(() => Promise.all(Array.from({ length: AT_ONCE }, run)))
        await store.close?.()
        return time
      }
      /** @type {import('@neve/castore-model').B3Digest | undefined} */
      let digest
      const before = process.memoryUsage().rss
      // Of one write and one read: what a process takes for one job after the other grows until it is collected.
      /** @type {number | undefined} */
      let peak
      const times = await interleave(
        {
          write: () =>
            withBucket(server.options, String(round++), (blobs) =>
              cpu.of('write', async () => {
                const writer = blobs.openWrite()
                for (let left = BLOB; left > 0; left -= PIECE)
                  await writer.write(source.random(Math.min(left, PIECE)))
                digest = await writer.close()
              }),
            ),
          read: () =>
            withBucket(server.options, String(round - 1), (blobs) =>
              cpu.of('read', async () => {
                let length = 0
                const reader = digest && (await blobs.open(digest, { sizeHint: BigInt(BLOB) }))
                if (reader) for await (const piece of blobStream(reader)) length += piece.length
                await reader?.close()
                if (length !== BLOB) throw new Error(`expected ${BLOB} bytes, got ${length}`)
                peak ??= process.resourceUsage().maxRSS * 1024
              }),
            ),
          bareWrite: () => bare((store, key) => store.put(key, chunk)),
          bareRead: () => bare((store, key) => store.get(key)),
        },
        ROUNDS,
      )
      return [
        compareRates(
          `S3: write ${size(BLOB)}, cpu ${cpu.last('write')}, against puts alone`,
          BLOB / times.write,
          BLOB / times.bareWrite,
          { rate: 150e6 },
        ),
        compareRates(
          `S3: read it, verified, cpu ${cpu.last('read')}, against gets alone`,
          BLOB / times.read,
          BLOB / times.bareRead,
          { rate: 300e6 },
        ),
        {
          job: `S3: resident at most while writing and reading once, ${mebibytes(before)} at the start`,
          ours: mebibytes(peak ?? 0),
          target: `< ${mebibytes(MEMORY_LIMIT)}`,
          met: (peak ?? 0) < MEMORY_LIMIT,
        },
      ]
    } finally {
      await server.stop()
      dir.remove(data)
    }
  }

  /** @param {(root: string) => Promise<number>} job */
  async function intoFresh(job) {
    const root = dir.fresh('store')
    dir.settle()
    const time = await job(root)
    dir.remove(root)
    return time
  }
})

/**
 * @param {string} root
 * @param {string} path
 */
async function intoFiles(root, path) {
  const store = new FileObjectStore({ root })
  const blobs = new ObjectStoreBlobService({ store })
  await ingestPath({ blobs, directories: new ObjectStoreDirectoryService({ store }) }, path)
  await blobs.close()
  await store.close()
}

/**
 * @param {string} root
 * @param {string} path
 */
async function intoEmbedded(root, path) {
  const engine = await EmbeddedStore.open(root)
  const services = {
    blobs: new EmbeddedBlobService(engine),
    directories: new EmbeddedDirectoryService(engine),
  }
  await ingestPath(services, path)
  await engine.close()
}

/**
 * @param {Record<string, string>} options
 * @param {string} folder
 * @param {(blobs: ObjectStoreBlobService) => Promise<number>} job
 */
async function withBucket(options, folder, job) {
  const store = await openObjectStore(`s3://bucket/${folder}`, options)
  const blobs = new ObjectStoreBlobService({ store })
  try {
    return await job(blobs)
  } finally {
    await blobs.close()
    await store.close?.()
  }
}
