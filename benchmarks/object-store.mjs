// Blobs and directories in object stores. On local files, durable: the tree of small files against the time that the
// reference takes for it, which syncs nothing; a large file against the embedded store. In a bucket of S3, served by
// versitygw on the same machine: one blob written, and read by a process that knows nothing of it. `cpu` is what this
// process took, over all its threads: on a busy machine it says more than the time does.
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { createServer } from 'node:net'
import { homedir } from 'node:os'
import { join } from 'node:path'
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
import { withWorkDir } from './lib/work-dir.mjs'

const ROUNDS = rounds(3)
const LARGE = scaled(2 * 2 ** 30, 1 << 20)
const BLOB = scaled(2 ** 30, 1 << 20)
const PIECE = 1 << 20
/** What the reference takes for the 40,000 files, by its own account of the same machine; it syncs nothing. */
const REFERENCE_SECONDS = 14 * SCALE
const MEMORY_LIMIT = 256 * 2 ** 20
const SECRET = 'secret-of-the-benchmark'

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
        first: async () => {
          if (root !== '') dir.remove(root)
          root = dir.fresh('store')
          dir.settle()
          return cpu.of('first', () => intoFiles(root, tree))
        },
        second: () => cpu.of('second', () => intoFiles(root, tree)),
      },
      ROUNDS,
    )
    dir.remove(root)
    dir.remove(tree)
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
    const program = join(
      process.env.NEVE_TEST_SERVERS ?? join(homedir(), '.cache/neve-test-servers'),
      'bin/versitygw',
    )
    if (!existsSync(program)) {
      console.log(`(no ${program}: S3 skipped)`)
      return []
    }
    const data = dir.fresh('s3')
    mkdirSync(join(data, 'bucket'), { recursive: true })
    const port = await freePort()
    const server = spawn(program, ['--port', `127.0.0.1:${port}`, '--quiet', 'posix', data], {
      env: { ...process.env, ROOT_ACCESS_KEY: 'test', ROOT_SECRET_KEY: SECRET },
      stdio: 'ignore',
    })
    try {
      await listening(port)
      const source = new ContentSource(9)
      const cpu = new CpuTime()
      let round = 0
      /** @type {import('@neve/castore-model').B3Digest | undefined} */
      let digest
      const before = process.memoryUsage().rss
      const times = await interleave(
        {
          write: () =>
            withBucket(port, String(round++), (blobs) =>
              cpu.of('write', async () => {
                const writer = blobs.openWrite()
                for (let left = BLOB; left > 0; left -= PIECE)
                  await writer.write(source.random(Math.min(left, PIECE)))
                digest = await writer.close()
              }),
            ),
          read: () =>
            withBucket(port, String(round - 1), (blobs) =>
              cpu.of('read', async () => {
                let length = 0
                const reader = digest && (await blobs.open(digest, { sizeHint: BigInt(BLOB) }))
                if (reader) for await (const piece of blobStream(reader)) length += piece.length
                await reader?.close()
                if (length !== BLOB) throw new Error(`expected ${BLOB} bytes, got ${length}`)
              }),
            ),
        },
        ROUNDS,
      )
      const peak = process.resourceUsage().maxRSS * 1024
      return [
        compareRates(`S3: write ${size(BLOB)}, cpu ${cpu.last('write')}`, BLOB / times.write, undefined, {
          rate: 150e6,
        }),
        compareRates(`S3: read it, verified, cpu ${cpu.last('read')}`, BLOB / times.read, undefined, {
          rate: 300e6,
        }),
        {
          job: `S3: resident at most, ${mebibytes(before)} at the start`,
          ours: mebibytes(peak),
          target: `< ${mebibytes(MEMORY_LIMIT)}`,
          met: peak < MEMORY_LIMIT,
        },
      ]
    } finally {
      server.kill()
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
 * @param {number} port
 * @param {string} folder
 * @param {(blobs: ObjectStoreBlobService) => Promise<number>} job
 */
async function withBucket(port, folder, job) {
  const store = await openObjectStore(`s3://bucket/${folder}`, {
    aws_endpoint: `http://127.0.0.1:${port}`,
    aws_region: 'us-east-1',
    aws_access_key_id: 'test',
    aws_secret_access_key: SECRET,
    aws_allow_http: 'true',
  })
  const blobs = new ObjectStoreBlobService({ store })
  try {
    return await job(blobs)
  } finally {
    await blobs.close()
    await store.close?.()
  }
}

/** @returns {Promise<number>} */
function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}

/** @param {number} port */
async function listening(port) {
  for (let attempt = 0; ; attempt++) {
    try {
      await fetch(`http://127.0.0.1:${port}/`)
      return
    } catch (error) {
      if (attempt === 400) throw error
      await new Promise((resolve) => setTimeout(resolve, 25))
    }
  }
}
