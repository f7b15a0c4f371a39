// The storage engine alone: appending and committing records, reading them in both orders, making the tables anew.
// Against the same bytes in one plain file: written and synced, read by position.
import { closeSync, openSync, readdirSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { blake3 } from '@neve/castore-model'
import { EmbeddedStore } from '@neve/embedded-store'
import { ContentSource, Seeded } from './lib/content.mjs'
import { writeAndSync } from './lib/floors.mjs'
import { interleave, timed } from './lib/measure.mjs'
import { warm } from './lib/process.mjs'
import { rounds, scaled } from './lib/settings.mjs'
import { heading, printTable, size } from './lib/table.mjs'
import { withWorkDir } from './lib/work-dir.mjs'

const ROUNDS = rounds(3)
const RECORDS = scaled(100_000)
const LENGTH = 3 * 1024
const BYTES = RECORDS * LENGTH
const LONE_COMMITS = scaled(200, 10)
const SHARED_COMMITS = scaled(6400, 320)
const AT_ONCE = 64

await withWorkDir(async (dir) => {
  heading('storage engine', `${RECORDS} records of ${LENGTH} bytes (${size(BYTES)}), median of ${ROUNDS}`)
  console.log('peer: one plain file: write and fdatasync; pread')
  const rows = []
  for (const kind of /** @type {const} */ (['random', 'text'])) rows.push(...(await measure(kind)))
  rows.push(...(await commits()))
  printTable(rows)

  /** @param {'random' | 'text'} kind */
  async function measure(kind) {
    const records = makeRecords(kind)
    const shuffled = shuffle(records)
    const plain = dir.fresh('plain')
    await writeAndSync(plain, BYTES)
    await warm(plain)
    let path = ''
    const times = await interleave(
      {
        append: async () => {
          if (path !== '') dir.remove(path)
          path = dir.fresh('store')
          dir.settle()
          return appendAll(path, records)
        },
        write: async () => {
          const file = dir.fresh('plain')
          dir.settle()
          const seconds = await writeAndSync(file, BYTES)
          dir.remove(file)
          return seconds
        },
        inOrder: () => readAll(path, records),
        plainInOrder: () => preadAll(plain, records),
        anyOrder: () => readAll(path, shuffled),
        plainAnyOrder: () => preadAll(plain, shuffled),
        anyOrderAsync: () => readOneByOne(path, shuffled),
        rebuild: () => rebuild(path),
        readSegments: () => readFolder(join(path, 'segments')),
      },
      ROUNDS,
    )
    dir.remove(path)
    dir.remove(plain)
    return [
      rates(`${kind}: append, one commit`, times.append, times.write),
      rates(`${kind}: read in order`, times.inOrder, times.plainInOrder),
      rates(`${kind}: read in random order`, times.anyOrder, times.plainAnyOrder),
      rates(`${kind}: the same with readContent`, times.anyOrderAsync, times.plainAnyOrder),
      rates(`${kind}: tables made anew, against reading the segments`, times.rebuild, times.readSegments),
    ]
  }

  async function commits() {
    const records = makeRecords('random').slice(0, SHARED_COMMITS)
    const times = await interleave(
      {
        lone: () => commitEach(dir.fresh('store'), records.slice(0, LONE_COMMITS), 1),
        shared: () => commitEach(dir.fresh('store'), records, AT_ONCE),
      },
      ROUNDS,
    )
    const lone = Math.min(LONE_COMMITS, records.length) / times.lone
    const shared = records.length / times.shared
    return [
      { job: 'a commit for each record, one after the other', ours: `${lone.toFixed(0)}/s` },
      { job: `a commit for each record, ${AT_ONCE} at once`, ours: `${shared.toFixed(0)}/s` },
    ]
  }
})

/** @typedef {{ readonly key: Uint8Array, readonly content: Uint8Array, readonly index: number }} Item */

/**
 * @param {'random' | 'text'} kind
 * @returns {Item[]}
 */
function makeRecords(kind) {
  const source = new ContentSource(6)
  return Array.from({ length: RECORDS }, (_, index) => {
    const content = kind === 'random' ? source.random(LENGTH) : source.text(LENGTH)
    return { key: blake3.digest(content), content, index }
  })
}

/** @param {readonly Item[]} records */
function shuffle(records) {
  const numbers = new Seeded(7)
  const out = [...records]
  for (let index = out.length - 1; index > 0; index--) {
    const other = numbers.below(index + 1)
    const item = /** @type {Item} */ (out[index])
    out[index] = /** @type {Item} */ (out[other])
    out[other] = item
  }
  return out
}

/**
 * @param {string} path
 * @param {readonly Item[]} records
 */
function appendAll(path, records) {
  return timed(() =>
    withStore(path, {}, async (store) => {
      const session = store.write()
      for (const { key, content, index } of records) {
        session.appendContent(key, content)
        if (index % 64 === 0) await session.room()
      }
      await session.commit()
    }),
  )
}

/**
 * @param {string} path
 * @param {readonly Item[]} records
 * @param {number} atOnce
 */
function commitEach(path, records, atOnce) {
  return withStore(path, {}, (store) => {
    let next = 0
    const commitSome = async () => {
      while (next < records.length) {
        const { key, content } = /** @type {Item} */ (records[next++])
        const session = store.write()
        session.appendContent(key, content)
        await session.commit()
      }
    }
    return timed(() => Promise.all(Array.from({ length: atOnce }, commitSome)))
  })
}

/**
 * @param {string} path
 * @param {readonly Item[]} records
 */
function readAll(path, records) {
  const out = Buffer.allocUnsafe(LENGTH)
  return withStore(path, { readOnly: true }, (store) =>
    timed(() => {
      const reader = store.contentReader()
      for (const { key } of records) {
        const stored = reader.peek(key) ?? reader.readSync(key)
        if (stored === undefined || !reader.expand(stored, out)) throw new Error('a record is lost')
      }
    }),
  )
}

/**
 * @param {string} path
 * @param {readonly Item[]} records
 */
function readOneByOne(path, records) {
  return withStore(path, { readOnly: true }, (store) =>
    timed(async () => {
      for (const { key } of records) {
        if ((await store.readContent(key))?.length !== LENGTH) throw new Error('a record is lost')
      }
    }),
  )
}

/**
 * @template T
 * @param {string} path
 * @param {import('@neve/embedded-store').EmbeddedStoreOptions} options
 * @param {(store: EmbeddedStore) => Promise<T>} job
 * @returns {Promise<T>}
 */
async function withStore(path, options, job) {
  const store = await EmbeddedStore.open(path, options)
  try {
    return await job(store)
  } finally {
    await store.close()
  }
}

/**
 * @param {string} path
 * @param {readonly Item[]} records
 */
function preadAll(path, records) {
  const out = Buffer.allocUnsafe(LENGTH)
  return timed(() => {
    const descriptor = openSync(path, 'r')
    for (const { index } of records) readSync(descriptor, out, 0, LENGTH, index * LENGTH)
    closeSync(descriptor)
  })
}

/** @param {string} path */
function rebuild(path) {
  return timed(async () => {
    const { records, skippedBytes } = await EmbeddedStore.rebuild(path)
    if (records < RECORDS || skippedBytes > 0)
      throw new Error(`${records} records, ${skippedBytes} bytes skipped`)
  })
}

/** @param {string} folder */
function readFolder(folder) {
  const block = Buffer.allocUnsafe(1 << 20)
  return timed(() => {
    for (const name of readdirSync(folder)) {
      const descriptor = openSync(join(folder, name), 'r')
      while (readSync(descriptor, block, 0, block.length, null) > 0);
      closeSync(descriptor)
    }
  })
}

/**
 * @param {string} job
 * @param {number} ours seconds
 * @param {number} peer seconds
 */
function rates(job, ours, peer) {
  const rate = (/** @type {number} */ seconds) =>
    `${(RECORDS / seconds / 1000).toFixed(0)}k/s, ${(BYTES / seconds / 1e6).toFixed(0)} MB/s`
  return { job, ours: rate(ours), peer: rate(peer), ratio: `${((peer / ours) * 100).toFixed(0)} %` }
}
