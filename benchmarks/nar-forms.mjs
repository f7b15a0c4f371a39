// NARs in other forms than from start to end, from an embedded store, warm: as `.nar.zst` made of the frames that are
// stored, against `cat` of the same stream as a file through a pipe; and from a position in the middle. Rates are those
// of the NAR, not of the compressed stream.
import { createWriteStream, statSync } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { B3Digest, blake3, Directory, PathComponent } from '@neve/castore-model'
import { encodeChunkList } from '@neve/castore-services/blob/embedded'
import { openStore } from '@neve/store-pathinfo'
import { ContentSource } from './lib/content.mjs'
import { interleave, median, timed } from './lib/measure.mjs'
import { catThroughPipe, warm } from './lib/process.mjs'
import { rounds, scaled } from './lib/settings.mjs'
import { compareRates, heading, printColumns, printTable, size } from './lib/table.mjs'
import { writeSmallFiles } from './lib/trees.mjs'
import { withWorkDir } from './lib/work-dir.mjs'

const ROUNDS = rounds(5)
const LARGE = scaled(2 * 2 ** 30, 1 << 20)
const SEEKS = 200
const SEEK_LIMIT = 20

await withWorkDir(async (dir) => {
  heading('compressed NARs of stored frames', `median of ${ROUNDS}, warm`)
  console.log('peer: cat NAR.zst | cat >/dev/null')
  const rows = []
  for (const kind of /** @type {const} */ (['text', 'random'])) {
    const file = dir.fresh(kind)
    new ContentSource(4).writeFile(file, LARGE, kind)
    rows.push(...(await compress(file, `${kind}, ${size(LARGE)}`, kind === 'text' ? { rate: 2e9 } : {})))
  }
  const small = dir.fresh('small')
  const { files, bytes } = writeSmallFiles(small)
  rows.push(...(await compress(small, `${files} files, ${size(bytes)}`, { rate: 800e6 })))
  printTable(rows)

  heading('opening a NAR and its first byte at a position', `${SEEKS} positions`)
  const lines = [['NAR', 'first of the process', 'median', 'slowest later', 'target', '']]
  lines.push(await seek('one file of 4 GiB among 1,000 files', largeTree))
  lines.push(await seek(`${files} files`, (store) => store.importPath(small).then(({ node }) => node)))
  printColumns(lines)

  /**
   * @param {string} tree
   * @param {string} what
   * @param {{ readonly rate?: number }} target
   */
  async function compress(tree, what, target) {
    const path = dir.fresh('store')
    const store = await openStore(path)
    const { storePath, narSize } = await store.importPath(tree)
    const stream = dir.fresh('nar.zst')
    await pipeline(store.compressedNar(storePath), createWriteStream(stream))
    const { size: length } = statSync(stream)
    await warm(stream)
    /** @param {'checksum' | 'digest'} check */
    const make = (check) => () =>
      timed(async () => {
        let made = 0
        for await (const piece of store.compressedNar(storePath, { check })) made += piece.length
        if (made !== length) throw new Error(`${what}: expected ${length} bytes, got ${made}`)
      })
    await make('checksum')()
    const times = await interleave(
      {
        checksum: make('checksum'),
        digest: make('digest'),
        cat: async () => (await catThroughPipe(stream)).seconds,
      },
      ROUNDS,
    )
    await store.close()
    dir.remove(path)
    dir.remove(stream)
    const share = `${((100 * length) / Number(narSize)).toFixed(0)} % of the NAR`
    const rate = (/** @type {number} */ seconds) => Number(narSize) / seconds
    return [
      compareRates(`${what} (${share})`, rate(times.checksum), rate(times.cat), target),
      compareRates(`${what}, check: digest`, rate(times.digest), rate(times.cat)),
    ]
  }

  /**
   * @param {string} what
   * @param {(store: import('@neve/store-pathinfo').LocalStore) => Promise<import('@neve/castore-model').Node>} make
   */
  async function seek(what, make) {
    const path = dir.fresh('store')
    const store = await openStore(path)
    const node = await make(store)
    await store.close()
    const again = await openStore(path, { readOnly: true })
    const times = []
    let length = 0n
    for (let index = 0n; index < SEEKS; index++) {
      const start = performance.now()
      const reader = await again.openNar(node)
      length = reader.size
      // The first is the middle; the others jump about.
      const position = (length * ((index * 61n + 100n) % 200n)) / 200n
      for await (const _ of reader.stream({ start: position, end: length })) break
      times.push(performance.now() - start)
    }
    await again.close()
    dir.remove(path)
    const ms = (/** @type {number | undefined} */ value) => `${(value ?? Number.NaN).toFixed(1)} ms`
    const met = median(times) < SEEK_LIMIT
    return [
      `${what}, ${size(Number(length))}`,
      ms(times[0]),
      ms(median(times)),
      ms(Math.max(...times.slice(1))),
      `median < ${SEEK_LIMIT} ms`,
      met ? 'met' : 'MISSED',
    ]
  }

  /**
   * One file of 4 GiB, which has 64 MiB of content over and over, and 1,000 small ones.
   *
   * @param {import('@neve/store-pathinfo').LocalStore} store
   */
  async function largeTree(store) {
    const content = new ContentSource(6).random(64 << 20)
    const digest = await store.blobs.put(content)
    const chunks = (await store.blobs.chunks(digest)) ?? []
    const hasher = blake3.hasher()
    const list = []
    for (let round = 0; round < 64; round++) {
      hasher.update(content)
      for (const chunk of chunks) list.push({ digest: chunk.digest.bytes, size: Number(chunk.size) })
    }
    const large = B3Digest.from(hasher.digest())
    const session = store.engine.write()
    session.put('blobs', large.bytes, encodeChunkList(list))
    await session.commit()
    const small = await store.blobs.put(new ContentSource(7).random(5000))
    const root = Directory.fromEntries([
      [PathComponent.from('large'), { kind: 'file', digest: large, size: 2n ** 32n, executable: false }],
      ...Array.from(
        { length: 1000 },
        (_, index) =>
          /** @type {const} */ ([
            PathComponent.from(`${index < 500 ? 'a' : 'z'}${index}`),
            { kind: 'file', digest: small, size: 5000n, executable: false },
          ]),
      ),
    ])
    await store.directories.put(root)
    return root.toNode()
  }
})
