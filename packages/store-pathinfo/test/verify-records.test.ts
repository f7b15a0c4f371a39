import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { B3Digest, Directory, type FileNode } from '@neve/castore-model'
import { openLocalStore, verifyPaths } from '@neve/store-pathinfo'
import { beforeEach, describe, expect, it } from 'vitest'
import { noise } from './host-trees.js'
import { namedPath } from './push-fixture.js'
import { temporaryFolder, temporaryStore } from './support.js'
import { faultsOf } from './verify-fixture.js'

const HEADER = 52

/** Words in no order: they shrink, and no chunk is like another. */
function text(length: number, seed: number): Buffer {
  return Buffer.from(noise(length >> 1, seed).toString('hex'), 'latin1')
}

/** What is stored in every way: as it is and as a frame, whole, in chunks of one batch, in chunks of several. */
const CONTENTS: Readonly<Record<string, Buffer>> = {
  'large-plain': noise(7_000_000, 1),
  'large-text': text(7_000_000, 2),
  'middle-plain': noise(1_100_000, 3),
  'middle-text': text(1_100_000, 4),
  'small-plain': noise(3000, 5),
  'small-text': text(3000, 6),
  'small-text-2': text(3000, 7),
  tiny: Buffer.from('x'),
}
const NAMES = Object.keys(CONTENTS)

async function filled() {
  const store = await temporaryStore()
  const tree = join(temporaryFolder(), 'tree')
  mkdirSync(tree)
  for (const [name, content] of Object.entries(CONTENTS)) writeFileSync(join(tree, name), content)
  writeFileSync(join(tree, 'empty'), '')
  const { storePath, node } = await store.importPath(tree, { name: 'tree' })
  const digests = new Map(NAMES.map((name) => [name, B3Digest.of(CONTENTS[name]!)]))
  /** The records of a file, in its order. */
  const records = async (name: string): Promise<readonly B3Digest[]> => {
    const chunks = await store.blobs.chunks(digests.get(name)!)
    return chunks!.length === 0 ? [digests.get(name)!] : chunks!.map(({ digest }) => digest)
  }
  /** Changes bytes of a segment. */
  const write = (segment: number, offset: number, change: (bytes: Buffer) => Uint8Array, length = 1) => {
    const file = openSync(join(store.engine.segmentFolder, `${String(segment).padStart(10, '0')}.seg`), 'r+')
    const bytes = Buffer.alloc(length)
    readSync(file, bytes, 0, length, offset)
    writeSync(file, change(bytes), 0, length, offset)
    closeSync(file)
  }
  return { store, storePath, node, digests, records, write }
}

/** Has the index say another length of what is stored for a digest: its pages have no checksums. */
function lengthenInIndex(
  { engine }: Awaited<ReturnType<typeof temporaryStore>>,
  digest: B3Digest,
  to: number,
) {
  const { segment, offset, storedLength, rawLength } = engine.locate(digest.bytes)!
  const location = Buffer.alloc(16)
  for (const [n, value] of [segment, offset, storedLength, rawLength].entries())
    location.writeUInt32LE(value, 4 * n)
  const path = join(engine.path, 'tables', 'data.mdb')
  const entry = Buffer.concat([digest.bytes, location])
  const pages = readFileSync(path)
  const length = Buffer.alloc(4)
  length.writeUInt32LE(to)
  const file = openSync(path, 'r+')
  for (let at = pages.indexOf(entry); at >= 0; at = pages.indexOf(entry, at + 1))
    writeSync(file, length, 0, 4, at + 40)
  closeSync(file)
  expect(engine.locate(digest.bytes)).toEqual({ segment, offset, storedLength: to, rawLength })
}

let sample: Awaited<ReturnType<typeof filled>>
beforeEach(async () => {
  sample = await filled()
})

describe('a sound store', () => {
  it('is read to the last byte, each kind of record', async () => {
    const { store, storePath, records } = sample
    const counts = await Promise.all(NAMES.map(async (name) => (await records(name)).length))
    // The sample is what it is said to be.
    expect(counts.map((count) => Math.min(count, 9))).toEqual([
      9,
      9,
      expect.any(Number),
      expect.any(Number),
      1,
      1,
      1,
      1,
    ])
    expect(Math.min(counts[2]!, counts[3]!)).toBeGreaterThan(1)
    const verified = []
    for await (const path of verifyPaths(store, [storePath])) verified.push(path)
    const bytes = Object.values(CONTENTS).reduce((sum, { length }) => sum + length, 0)
    expect(verified).toMatchObject([{ damages: [], directories: 1, blobs: NAMES.length + 1, bytes }])
  })
})

/** Bytes of a record, by what they say, that are looked at: not the checksums, which the digest makes up for. */
const FIELDS: readonly (readonly [string, (storedLength: number) => number])[] = [
  ['magic', () => 0],
  ['kind', () => 8],
  ['flags', () => 9],
  ['length', () => 12],
  ['stored length', () => 17],
  ['key', () => 51],
  ['first byte', () => HEADER],
  ['last byte', (storedLength) => HEADER + storedLength - 1],
]

describe('a damaged record', () => {
  it.each(NAMES)('of %s is told, and nothing else, whatever of it is damaged', async (name) => {
    const { store, digests, records, write } = sample
    const all = await records(name)
    const record = all.at(-1)!
    const { segment, offset, storedLength } = store.engine.locate(record.bytes)!
    const kind = all.length > 1 ? 'chunk-damaged' : 'blob-damaged'
    expect(record.equals(digests.get(name)!)).toBe(all.length === 1)
    const flip = (at: number) => write(segment, offset + at, ([byte]) => Uint8Array.of(byte! ^ 1))
    for (const [field, at] of FIELDS) {
      flip(at(storedLength))
      expect([field, await faultsOf(store)]).toEqual([field, [`tree/${name} ${kind} ${record.toHex()}`]])
      flip(at(storedLength))
    }
    expect(await faultsOf(store)).toEqual([])
  })
})

describe('a list of chunks', () => {
  it.each(['large-plain', 'large-text', 'middle-plain', 'middle-text'])(
    'of %s is told when two of it have changed places',
    async (name) => {
      const { store, digests } = sample
      const key = digests.get(name)!.bytes
      const list = Buffer.from(store.engine.get('blobs', key)!)
      const [first, second] = [Buffer.from(list.subarray(0, 36)), Buffer.from(list.subarray(36, 72))]
      first.copy(list, 36)
      second.copy(list, 0)
      const session = store.engine.write()
      session.put('blobs', key, list)
      await session.commit()
      expect(await faultsOf(store)).toEqual([`tree/${name} chunk-list-damaged ${digests.get(name)!.toHex()}`])
    },
  )

  it('of one chunk is told when that is sound, but another', async () => {
    const { store, digests } = sample
    const [name, other] = ['middle-plain', 'small-plain']
    const key = digests.get(name)!.bytes
    const list = Buffer.alloc(36)
    list.set(digests.get(other)!.bytes)
    list.writeUInt32LE(3000, 32)
    const session = store.engine.write()
    session.put('blobs', key, list)
    await session.commit()
    // The node promises as much, too.
    const file: FileNode = { kind: 'file', digest: digests.get(name)!, size: 3000n, executable: false }
    const { pathInfo } = await store.importPath(import.meta.filename)
    await store.pathInfos.put({ ...pathInfo, storePath: namedPath('alone'), node: file })
    expect(await faultsOf(store)).toEqual(
      ['alone', `tree/${name}`]
        .map((path) => `${path} chunk-list-damaged ${digests.get(name)!.toHex()}`)
        .sort(),
    )
  })
})

describe('records', () => {
  it('that have changed places are told, both', async () => {
    const { store, digests, write } = sample
    const names = ['small-text', 'small-text-2']
    const [a, b] = names.map((name) => store.engine.locate(digests.get(name)!.bytes)!)
    const lengths = [a!, b!].map(({ storedLength }) => HEADER + storedLength)
    // Whatever the longer one has behind the end of the shorter stays: the index says where each ends.
    const [lengthA, lengthB] = lengths
    let [fromA, fromB]: Uint8Array[] = []
    write(a!.segment, a!.offset, (bytes) => (fromA = bytes), lengthA)
    write(b!.segment, b!.offset, (bytes) => (fromB = bytes), lengthB)
    const least = Math.min(lengthA!, lengthB!)
    write(a!.segment, a!.offset, () => fromB!.subarray(0, least), least)
    write(b!.segment, b!.offset, () => fromA!.subarray(0, least), least)
    expect(await faultsOf(store)).toEqual(
      names.map((name) => `tree/${name} blob-damaged ${digests.get(name)!.toHex()}`).sort(),
    )
  })

  it.each(['tiny', 'small-text', 'middle-text', 'large-plain'])(
    'of %s that cannot be as long as the index says are told',
    async (name) => {
      const { store, records } = sample
      const all = await records(name)
      const digest = all.at(-1)!
      for (const length of [3 * 1024 * 1024, 0xffffffff]) {
        lengthenInIndex(store, digest, length)
        const kind = all.length > 1 ? 'chunk-damaged' : 'blob-damaged'
        expect(await faultsOf(store)).toEqual([`tree/${name} ${kind} ${digest.toHex()}`])
      }
    },
  )

  it('of a segment that is cut off are told, and no others', async () => {
    const { store, records } = sample
    const placed = []
    for (const name of NAMES) {
      const all = await records(name)
      const kind = all.length > 1 ? 'chunk-damaged' : 'blob-damaged'
      for (const digest of all) {
        const { segment, offset } = store.engine.locate(digest.bytes)!
        expect(segment).toBe(1)
        placed.push({ offset, fault: `tree/${name} ${kind} ${digest.toHex()}` })
      }
    }
    placed.sort((a, b) => a.offset - b.offset)
    const half = placed.slice(placed.length >> 1)
    truncateSync(join(store.engine.segmentFolder, '0000000001.seg'), half[0]!.offset + 1)
    expect(await faultsOf(store)).toEqual(half.map(({ fault }) => fault).sort())
  })

  it('of a segment that is gone are told, all of them', async () => {
    const { store } = sample
    await using reader = await openLocalStore(store.engine.path, { readOnly: true })
    rmSync(store.engine.segmentFolder, { recursive: true })
    mkdirSync(store.engine.segmentFolder)
    const faults = await faultsOf(reader)
    expect(faults.map((fault) => fault.split(' ')[0])).toEqual(
      expect.arrayContaining(NAMES.map((name) => `tree/${name}`)),
    )
    expect(faults.some((fault) => fault.includes('empty'))).toBe(false)
  })
})

it('a blob is not taken for the directory that has its digest', async () => {
  const { store, node } = sample
  if (node.kind !== 'directory') throw new Error('it is a directory')
  // The encoding of a directory that is sound is nowhere stored as content.
  const encoded = (await store.directories.get(node.digest))!.encode()
  const { pathInfo } = await store.importPath(import.meta.filename)
  const entries = Directory.decode(encoded).entries
  const file: FileNode = {
    kind: 'file',
    digest: node.digest,
    size: BigInt(encoded.length),
    executable: false,
  }
  const [a, b] = [entries[0]!.name, entries[1]!.name]
  const both = Directory.fromEntries([
    [a, node],
    [b, file],
  ])
  await store.directories.put(both)
  await store.pathInfos.put({ ...pathInfo, storePath: namedPath('both'), node: both.toNode() })
  expect(await faultsOf(store)).toEqual([`both/${Buffer.from(b.bytes)} blob-missing ${node.digest.toHex()}`])
})
