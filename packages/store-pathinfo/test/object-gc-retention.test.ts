import { randomBytes } from 'node:crypto'
import { readdir, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { ObjectStoreBlobService } from '@neve/castore-services/blob/object-store'
import { ObjectStoreDirectoryService } from '@neve/castore-services/directory/object-store'
import {
  MemoryObjectStore,
  type ObjectMeta,
  type ObjectStore,
  openObjectStore,
} from '@neve/castore-services/object-store'
import type { StorePath } from '@neve/nix-compat'
import { Store } from '@neve/store-pathinfo'
import {
  type CollectObjectsOptions,
  collectObjects,
  removeObjectRoot,
  setObjectRoot,
} from '@neve/store-pathinfo/object-gc'
import { ObjectStorePathInfoService } from '@neve/store-pathinfo/object-store'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { describeWithServer, newPrefix } from '../../castore-services/test/servers/object-server.js'
import { VERSITYGW } from '../../castore-services/test/servers/versitygw.js'
import { closureOf, PACKAGES, packageOf, pathInfoOf, pathOf, putTree } from './gc-universe.mjs'
import { DAY, expectWhole, HOUR, keysOf, ObjectStoreFolder } from './object-gc-fixture.js'

/** What is marked, swept and measured. */
const COUNTED = ['neve/pathinfo/', 'dirs/', 'blobs/', 'chunks/', 'chunk/']
const SETTLED = { settled: 0 }

function storeOver(store: ObjectStore): Store {
  const blobs = new ObjectStoreBlobService({ store, averageChunkSize: 65536, threads: 1 })
  const directories = new ObjectStoreDirectoryService({ store })
  const pathInfos = new ObjectStorePathInfoService(store)
  return new Store({ blobs, directories, pathInfos, close: () => blobs.close() })
}

/** A store whose objects look as old as it is told: most of them a hundred days. */
class AgedStore implements ObjectStore {
  readonly name = 'aged'
  /** In days, by the end of a key. */
  readonly ages = new Map<string, number>()
  readonly #inner = new MemoryObjectStore()
  readonly get = this.#inner.get.bind(this.#inner)
  readonly put = this.#inner.put.bind(this.#inner)
  readonly putIfAbsent = this.#inner.putIfAbsent.bind(this.#inner)
  readonly delete = this.#inner.delete.bind(this.#inner)

  async head(key: string): Promise<ObjectMeta | undefined> {
    const found = await this.#inner.head(key)
    return found && this.#aged(found)
  }

  async *list(prefix: string): AsyncGenerator<ObjectMeta, void, undefined> {
    for await (const meta of this.#inner.list(prefix)) yield this.#aged(meta)
  }

  #aged(meta: ObjectMeta): ObjectMeta {
    const days = this.ages.get(meta.key.slice(meta.key.lastIndexOf('/') + 1)) ?? 100
    return { ...meta, modified: Date.now() - days * DAY }
  }
}

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** The objects of each package and of what it references, with their sizes. */
async function piecesOfAll(objects: ObjectStore, store: Store): Promise<ReadonlyMap<string, number>[]> {
  const sizes = new Map<string, number>()
  for (const prefix of COUNTED) {
    for await (const { key, size } of objects.list(prefix)) sizes.set(key, size)
  }
  const own = async (number: number): Promise<Map<string, number>> => {
    const hexes = new Set<string>()
    const { storePath, node } = pathInfoOf(number)
    if (node.kind !== 'directory') throw new Error('expected a directory')
    hexes.add(hexOf(storePath.digest)).add(hexOf(node.digest.bytes))
    for await (const directory of store.directories.getRecursive(node.digest)) {
      for (const { node: child } of directory.entries) {
        if (child.kind !== 'file') continue
        hexes.add(hexOf(child.digest.bytes))
        for (const chunk of (await store.blobs.chunks(child.digest)) ?? [])
          hexes.add(hexOf(chunk.digest.bytes))
      }
    }
    return new Map([...sizes].filter(([key]) => hexes.has(key.slice(key.lastIndexOf('/') + 1))))
  }
  const owns = await Promise.all(Array.from({ length: PACKAGES }, (_, number) => own(number)))
  return owns.map((_, number) => new Map(closureOf(number).flatMap((one) => [...owns[one]!])))
}

interface Rules {
  readonly days: number | undefined
  readonly maxSize: number | undefined
}

/** The packages that are to stay, by the rule as one would say it. */
function expectedKept(
  pieces: readonly ReadonlyMap<string, number>[],
  uses: readonly number[],
  rooted: readonly number[],
  { days, maxSize }: Rules,
): Set<number> {
  // What is younger than the grace age stays.
  const always = [...rooted, ...uses.flatMap((used, number) => (used <= 1 ? [number] : []))]
  const kept = new Set<number>(always.flatMap((number) => closureOf(number)))
  const stored = new Map(always.flatMap((number) => [...pieces[number]!]))
  const within = days ?? (maxSize === undefined ? -1 : Number.POSITIVE_INFINITY)
  const order = uses.map((_, number) => number)
  order.sort((a, b) => uses[a]! - uses[b]!)
  for (const number of order) {
    if (uses[number]! > within) break
    for (const [name, bytes] of pieces[number]!) stored.set(name, bytes)
    const total = [...stored.values()].reduce((sum, bytes) => sum + bytes, 0)
    if (total > (maxSize ?? Number.POSITIVE_INFINITY)) break
    for (const one of closureOf(number)) kept.add(one)
  }
  return kept
}

it('keeps of an object store what was used last, as far as it fits, with all that it references', async () => {
  const objects = new AgedStore()
  await using store = storeOver(objects)
  for (let number = 0; number < PACKAGES; number++) {
    await putTree(store, packageOf(number))
    await store.pathInfos.put(pathInfoOf(number))
  }
  const pieces = await piecesOfAll(objects, store)
  const all = new Map(pieces.flatMap((some) => [...some]))
  const allBytes = [...all.values()].reduce((sum, bytes) => sum + bytes, 0)
  const numbers = fc.integer({ min: 0, max: PACKAGES - 1 })
  const plans = fc.record({
    // Half a day off, so that no use is just as old as the rule says, and each another, so that there is one order.
    uses: fc
      .array(
        fc.integer({ min: 1, max: 40 }).map((day) => day - 0.5),
        { minLength: PACKAGES, maxLength: PACKAGES },
      )
      .map((days) => days.map((day, number) => day + number / 1000)),
    rooted: fc.uniqueArray(numbers, { maxLength: 3 }),
    days: fc.option(fc.integer({ min: 1, max: 40 }), { nil: undefined }),
    share: fc.option(fc.double({ min: 0, max: 1.1, noNaN: true }), { nil: undefined }),
  })
  await fc.assert(
    fc.asyncProperty(plans, async ({ uses, rooted, days, share }) => {
      const maxSize = share === undefined ? undefined : Math.floor(allBytes * share)
      for (const [number, age] of uses.entries()) objects.ages.set(hexOf(pathOf(number).digest), age)
      for (const number of rooted) await setObjectRoot(objects, { name: `${number}`, target: pathOf(number) })
      const keepUsedWithin = days === undefined ? undefined : days * DAY
      const options: CollectObjectsOptions = { dryRun: true, all: true, keepUsedWithin, maxSize }
      const { paths, reasons, keptPaths, bytes } = await collectObjects(objects, options)
      for (const number of rooted) await removeObjectRoot(objects, `${number}`)
      const kept = expectedKept(pieces, uses, rooted, { days, maxSize })
      const gone = uses.flatMap((_, number) => (kept.has(number) ? [] : [number]))
      expect(paths.map(String).sort()).toEqual(gone.map((number) => String(pathOf(number))).sort())
      expect(keptPaths).toBe(kept.size)
      const left = new Map([...kept].flatMap((number) => [...pieces[number]!]))
      expect(bytes).toBe(allBytes - [...left.values()].reduce((sum, size) => sum + size, 0))
      const within = days ?? (maxSize === undefined ? -1 : Number.POSITIVE_INFINITY)
      const unused = gone.filter((number) => uses[number]! > within)
      expect(reasons.filter(({ reason }) => reason === 'unused')).toHaveLength(unused.length)
      for (const { storePath, lastUsed } of reasons) {
        const age = uses[gone.find((number) => pathOf(number).equals(storePath))!]!
        expect(Math.abs(Date.now() - age * DAY - lastUsed!)).toBeLessThan(HOUR)
      }
    }),
    { numRuns: 60 },
  )
}, 120_000)

/** A store with files of 100 kB, whose objects can be made to look old. */
interface Place {
  readonly objects: ObjectStore
  age(milliseconds: number, below?: string): Promise<void>
}

async function bytesOf(objects: ObjectStore): Promise<number> {
  let bytes = 0
  for (const prefix of COUNTED) for await (const { size } of objects.list(prefix)) bytes += size
  return bytes
}

/** Eight store paths, of which the first was used two days ago, the second three days ago, and so on. */
async function eightOf({ objects, age }: Place): Promise<StorePath[]> {
  const paths: StorePath[] = []
  {
    await using store = storeOver(objects)
    for (let number = 0; number < 8; number++) {
      const node = {
        ...{ kind: 'file' as const, digest: await store.blobs.put(randomBytes(100_000)), size: 100_000n },
        executable: false,
      }
      paths.push((await store.pathInfos.put({ ...pathInfoOf(number), node, references: [] })).storePath)
    }
  }
  await setObjectRoot(objects, { name: 'oldest', target: paths[7]! })
  await collectObjects(objects, SETTLED)
  await age(20 * DAY)
  for (const [number, { digest }] of paths.entries()) {
    const hex = hexOf(digest)
    await age((number + 2) * DAY, `neve/pathinfo/${hex.slice(0, 4)}/${hex}`)
  }
  return paths
}

async function leavesNoMore(place: Place): Promise<void> {
  const { objects } = place
  const paths = await eightOf(place)
  const there = async () => {
    const keys = await keysOf(objects, 'neve/pathinfo/')
    return paths.map(({ digest }) => keys.some((key) => key.endsWith(hexOf(digest))))
  }
  const before = await bytesOf(objects)
  expect(await collectObjects(objects, { ...SETTLED, maxSize: before })).toMatchObject({ objects: 0 })
  const collected = await collectObjects(objects, { ...SETTLED, maxSize: before - 1 })
  expect(collected.reasons.map(({ storePath, reason }) => [storePath.toString(), reason])).toEqual([
    [paths[6]!.toString(), 'size'],
  ])
  const maxSize = Math.floor(before * 0.6)
  const both = await collectObjects(objects, { ...SETTLED, maxSize, keepUsedWithin: 3.5 * DAY })
  const gone = paths.slice(2, 6)
  expect(both.paths.map(String).sort()).toEqual(gone.map(String).sort())
  expect(both.reasons.every(({ reason }) => reason === 'unused')).toBe(true)
  expect(await bytesOf(objects)).toBeLessThanOrEqual(maxSize)
  expect(await there()).toEqual([true, true, ...Array(5).fill(false), true])
  // More than there is room for: what has a root stays.
  await collectObjects(objects, { ...SETTLED, maxSize: 0 })
  expect(await there()).toEqual([...Array(7).fill(false), true])
  await using store = storeOver(objects)
  const { node } = (await store.pathInfos.get(paths[7]!.digest))!
  if (node.kind !== 'file') throw new Error('expected a file')
  expect(await store.blobs.get(node.digest)).toHaveLength(100_000)
  const { length } = (await store.blobs.chunks(node.digest))!
  expect(await keysOf(objects, 'chunks/')).toHaveLength(Math.max(1, length))
}

describe('what there is no room for in an object store', () => {
  it('goes, the least recently used first, until no more than is to be kept is left', async () => {
    await using place = await ObjectStoreFolder.create()
    const age = async (milliseconds: number, below = ''): Promise<void> => {
      if (below === '') return place.age(milliseconds)
      const then = new Date(Date.now() - milliseconds)
      await utimes(join(place.folder, 'store', below), then, then)
    }
    await leavesNoMore({ objects: place.objects, age })
  })

  it('is nothing that was written within the grace age, nor what that refers to, but these count', async () => {
    await using place = await ObjectStoreFolder.create()
    const old = await place.import('old', { a: randomBytes(200_000) })
    await collectObjects(place.objects, { all: true, ...SETTLED })
    await place.age(3 * DAY)
    const young = await place.import('young', { b: randomBytes(200_000) })
    const all = await bytesOf(place.objects)
    expect((await collectObjects(place.objects, { ...SETTLED, maxSize: all })).paths).toEqual([])
    const { paths } = await collectObjects(place.objects, { ...SETTLED, maxSize: 210_000 })
    expect(paths.map(String)).toEqual([old.storePath.toString()])
    expect((await collectObjects(place.objects, { ...SETTLED, maxSize: 0 })).paths).toEqual([])
    await using store = await place.open()
    await expectWhole(store, [young.storePath.digest])
  })

  it('stays when it is used while garbage is collected, with all that it references', async () => {
    await using place = await ObjectStoreFolder.create()
    const low = await place.import('low', { a: randomBytes(300_000) })
    const high = await place.import('high', { a: 'high' })
    await place.reference(high.storePath, low.storePath)
    await collectObjects(place.objects, { all: true, ...SETTLED })
    await place.age(3 * DAY)
    await using user = await place.open()
    let used: Promise<unknown> | undefined
    const onProgress = (): void => {
      used ??= user.pathInfos.get(high.storePath.digest)
    }
    // The first that is marked has room; the others are looked for when it is used.
    await place.import('small', { a: 'small' })
    const { objects } = place
    const slow: ObjectStore = {
      name: objects.name,
      get: (...args) => objects.get(...args),
      put: (...args) => objects.put(...args),
      putIfAbsent: (...args) => objects.putIfAbsent(...args),
      delete: (...args) => objects.delete(...args),
      head: (...args) => objects.head(...args),
      async *list(prefix, options) {
        // All is marked by now, and nothing is swept.
        if (used !== undefined && prefix === 'neve/pathinfo/') await used
        yield* objects.list(prefix, options)
      },
    }
    const collected = await collectObjects(slow, { ...SETTLED, maxSize: 1000, onProgress })
    expect(used).toBeDefined()
    expect(collected.paths).toEqual([])
    await expectWhole(user, [low.storePath.digest, high.storePath.digest])
  })

  it('is not what is kept that references something that is missing', async () => {
    await using place = await ObjectStoreFolder.create()
    const gone = await place.import('gone', { a: 'gone' })
    const kept = await place.import('kept', { a: 'kept' })
    await place.reference(kept.storePath, gone.storePath)
    const hex = hexOf(gone.storePath.digest)
    await place.objects.delete(`neve/pathinfo/${hex.slice(0, 4)}/${hex}`)
    await collectObjects(place.objects, { all: true, ...SETTLED })
    await place.age(3 * DAY)
    const collected = await collectObjects(place.objects, { ...SETTLED, maxSize: 10_000_000 })
    expect(collected).toMatchObject({ paths: [], keptPaths: 1 })
  })

  it('is looked for where nothing else says what is kept', async () => {
    await using place = await ObjectStoreFolder.create()
    await place.import('lost', { a: randomBytes(100_000) })
    await collectObjects(place.objects, { all: true, ...SETTLED })
    await place.age(3 * DAY)
    const refused = { code: 'unsupported' }
    await expect(collectObjects(place.objects, SETTLED)).rejects.toMatchObject(refused)
    expect((await collectObjects(place.objects, { ...SETTLED, maxSize: 2 ** 40 })).paths).toEqual([])
    expect((await collectObjects(place.objects, { ...SETTLED, maxSize: 1 })).paths).toHaveLength(1)
  })
})

describeWithServer(VERSITYGW, (server) => {
  it('leaves no more in a bucket than is to be kept, by the times that its server tells', async () => {
    const prefix = newPrefix()
    const objects = await openObjectStore(server().url(prefix), server().options)
    const folder = join(server().process.folder, 'data/bucket', prefix)
    const age = async (milliseconds: number, below = ''): Promise<void> => {
      const then = new Date(Date.now() - milliseconds)
      if (below !== '') return utimes(join(folder, below), then, then)
      for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
        if (entry.isFile()) await utimes(join(entry.parentPath, entry.name), then, then)
      }
    }
    await leavesNoMore({ objects, age })
    await objects.close?.()
  })
})
