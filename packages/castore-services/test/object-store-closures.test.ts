import type { Directory } from '@neve/castore-model'
import { ObjectStoreDirectoryService } from '@neve/castore-services/directory/object-store'
import { MemoryObjectStore, type ObjectStore } from '@neve/castore-services/object-store'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { framedChunk } from '../src/blob/chunk-frames.js'
import { objectKey } from '../src/blob/object-layout.js'
import {
  A,
  B,
  BROKEN_PARENT,
  C,
  COMPLICATED,
  closureOf,
  D,
  digestsOf,
  directoryOf,
  distinctDirectory,
  randomClosure,
  upload,
  WITH_KEEP,
} from '../src/contract/directory-fixtures.js'
import { decodeClosure, encodeClosure } from '../src/directory/closure-object.js'
import { keysOf, WatchedStore } from './object-store-fixture.js'

const LIMITS = { maxDirectoryBytes: 1 << 20, maxClosureBytes: 1 << 24 }

/** Frames as they come, right or wrong. */
function framed(...directories: readonly (Directory | Uint8Array)[]): Uint8Array {
  const parts = directories.flatMap((directory) => {
    const bytes = directory instanceof Uint8Array ? directory : directory.encode()
    const length = Buffer.alloc(4)
    length.writeUInt32BE(bytes.length)
    return [length, bytes]
  })
  return Buffer.concat(parts)
}

describe('a damaged closure is data-loss, and heals', () => {
  const whole = framed(D, A, B)
  const loops = framed(D, A, D, B, A, B)

  it.each([
    ['nothing at all', new Uint8Array(0)],
    ['no zstd', new Uint8Array(100).fill(1)],
    ['no frames', framedChunk(new Uint8Array(0))],
    ['zstd that is cut off', framedChunk(whole).subarray(0, 40)],
    ['a byte behind the zstd', Buffer.concat([framedChunk(whole), Buffer.of(0)])],
    ['a frame that is cut off', framedChunk(whole.subarray(0, whole.length - 3))],
    ['a length that is cut off', framedChunk(Buffer.concat([whole, Buffer.of(0, 0)]))],
    ['another root first', framedChunk(framed(B, A, D))],
    ['another closure', framedChunk(framed(COMPLICATED, WITH_KEEP))],
    ['a missing last directory', framedChunk(framed(D, A))],
    ['a missing directory in the middle', framedChunk(framed(D, B))],
    ['a directory that nobody references', framedChunk(framed(D, A, B, WITH_KEEP))],
    ['bytes that are no directory', framedChunk(framed(D, A, Uint8Array.of(1, 2, 3)))],
    ['a directory that is too long', framedChunk(Buffer.from('ffffffff', 'hex'))],
    ['a bomb', framedChunk(new Uint8Array((1 << 24) + 1))],
  ])('%s', async (_name, damaged) => {
    const store = new MemoryObjectStore()
    const key = objectKey('dirs', D.digest())
    await store.put(key, damaged)
    const directories = new ObjectStoreDirectoryService({ store, ...LIMITS })
    const loss = { code: 'data-loss', backend: 'objectstore+memory' }
    await expect(directories.get(D.digest())).rejects.toMatchObject(loss)
    await expect(closureOf(directories, D.digest())).rejects.toMatchObject(loss)
    await upload(directories, A, B, D)
    expect(digestsOf(await closureOf(directories, D.digest()))).toEqual(digestsOf([D, A, B]))
    const other = new ObjectStoreDirectoryService({ store, ...LIMITS })
    expect(digestsOf(await closureOf(other, D.digest()))).toEqual(digestsOf([D, A, B]))
  })

  it('of wrong sizes', () => {
    const decode = () =>
      decodeClosure(BROKEN_PARENT.digest(), framedChunk(framed(BROKEN_PARENT, A)), LIMITS, 'test')
    expect(decode).toThrow(
      expect.objectContaining({ code: 'data-loss', cause: expect.objectContaining({ code: 'size' }) }),
    )
  })

  it('but repeats are not damage', () => {
    const closure = decodeClosure(D.digest(), framedChunk(loops), LIMITS, 'test')
    expect(digestsOf([...closure.directories.values()])).toEqual(digestsOf([D, A, B]))
    expect(closure.bytes).toBe(D.encodedBytes + A.encodedBytes + B.encodedBytes)
  })

  it('whatever the bytes', () => {
    const good = framedChunk(whole)
    fc.assert(
      fc.property(
        fc.nat(good.length - 1),
        fc.integer({ min: 1, max: 255 }),
        fc.nat(good.length),
        (at, flip, end) => {
          const bytes = new Uint8Array(good)
          bytes[at]! ^= flip
          for (const damaged of [bytes, good.subarray(0, end), bytes.subarray(0, end)]) {
            try {
              const { directories } = decodeClosure(D.digest(), damaged, LIMITS, 'test')
              // A flag that changes nothing may flip.
              expect(digestsOf([...directories.values()])).toEqual(digestsOf([D, A, B]))
            } catch (error) {
              expect(error).toMatchObject({ code: 'data-loss' })
            }
          }
        },
      ),
      { numRuns: 500 },
    )
  })
})

it('refuses to write what it would refuse to read', async () => {
  const store = new MemoryObjectStore()
  const directories = new ObjectStoreDirectoryService({ store, maxDirectoryBytes: 100, maxClosureBytes: 130 })
  await expect(upload(directories, WITH_KEEP, COMPLICATED)).rejects.toMatchObject({ code: 'too-large' })
  await expect(upload(directories, A, B, D)).rejects.toMatchObject({ code: 'too-large' })
  expect(await keysOf(store)).toEqual([])
  await upload(directories, A, C)
  expect(() => encodeClosure([COMPLICATED], { maxDirectoryBytes: 118, maxClosureBytes: 1000 })).toThrow(
    expect.objectContaining({ code: 'too-large' }),
  )
})

it('does not write a closure again, in whatever order it is stored', async () => {
  const store = new WatchedStore(new MemoryObjectStore())
  await store.put(objectKey('dirs', D.digest()), framedChunk(framed(D, B, A)))
  const directories = new ObjectStoreDirectoryService({ store })
  store.calls.length = 0
  await upload(directories, A, B, D)
  await upload(directories, A, B, D)
  expect(store.count('put')).toBe(0)
  expect(store.count('putIfAbsent')).toBe(1)
})

describe('put of a single directory', () => {
  it('takes children that are stored, with all that is below them', async () => {
    const store = new MemoryObjectStore()
    const directories = new ObjectStoreDirectoryService({ store })
    await upload(directories, A, B, D)
    await upload(directories, WITH_KEEP, COMPLICATED)
    const top = directoryOf({ d: D.toNode(), keep: WITH_KEEP.toNode() })
    expect((await directories.put(top)).equals(top.digest())).toBe(true)
    const other = new ObjectStoreDirectoryService({ store })
    expect(digestsOf(await closureOf(other, top.digest()))).toEqual(digestsOf([top, D, WITH_KEEP, A, B]))
  })

  it('refuses those that are not, and wrong sizes', async () => {
    const directories = new ObjectStoreDirectoryService({ store: new MemoryObjectStore() })
    await expect(directories.put(B)).rejects.toMatchObject({ code: 'order', reference: A.digest() })
    await directories.put(A)
    await directories.put(B)
    await expect(directories.put(BROKEN_PARENT)).rejects.toMatchObject({ code: 'size' })
  })
})

/** A closure of a root and so many directories below it. */
function wide(count: number, salt: number): Directory[] {
  const children = Array.from({ length: count }, (_, index) => distinctDirectory(salt * 100_000 + index))
  const entries = children.map((child, index) => [`child ${index}`, child.toNode()] as const)
  return [...children, directoryOf(Object.fromEntries(entries))]
}

async function open(store: ObjectStore): Promise<ObjectStoreDirectoryService> {
  return new ObjectStoreDirectoryService({ store })
}

describe('directories below a root are found', () => {
  it('by another process, with few requests', async () => {
    const store = new WatchedStore(new MemoryObjectStore())
    const closure = wide(2000, 1)
    await upload(await open(store), ...closure)
    // One object for the closure, one for the index.
    expect(await keysOf(store)).toHaveLength(2)
    const other = await open(store)
    store.calls.length = 0
    for (const directory of closure) {
      expect((await other.get(directory.digest()))?.equals(directory)).toBe(true)
    }
    expect(store.calls.length).toBeLessThan(10)
  })

  it('with everything below them', async () => {
    const store = new MemoryObjectStore()
    const closure = randomClosure(300, 5)
    await upload(await open(store), ...closure)
    const expected = new ObjectStoreDirectoryService({ store: new MemoryObjectStore() })
    for (const directory of closure.slice(-40, -1)) {
      const found = await closureOf(await open(store), directory.digest())
      const keys = new Set(digestsOf(found))
      for (const member of found) {
        for (const { node } of member.directories()) expect(keys.has(node.digest.toString())).toBe(true)
      }
      expect(found[0]?.equals(directory)).toBe(true)
    }
    expect(await expected.get(closure[0]!.digest())).toBeUndefined()
  })

  it('as soon as another process has acknowledged them, which an earlier miss does not hide', async () => {
    const store = new WatchedStore(new MemoryObjectStore())
    const reader = await open(store)
    const writer = await open(store)
    expect(await reader.get(WITH_KEEP.digest())).toBeUndefined()
    await upload(writer, WITH_KEEP, COMPLICATED)
    expect((await reader.get(WITH_KEEP.digest()))?.equals(WITH_KEEP)).toBe(true)
    // A miss costs two requests: the closure itself, and news of the index.
    store.calls.length = 0
    expect(await reader.get(B.digest())).toBeUndefined()
    expect(store.calls).toHaveLength(2)
  })

  it('when two processes add to the index at the same time, again and again', async () => {
    const store = new WatchedStore(new MemoryObjectStore())
    store.before = () => new Promise(setImmediate)
    const writers = [await open(store), await open(store), await open(store)]
    const closures = Array.from({ length: 60 }, (_, index) => wide(3, 10 + index))
    for (let round = 0; round < 2; round++) {
      await Promise.all(
        closures
          .slice(round * 30, round * 30 + 30)
          .map((closure, index) => upload(writers[index % 3]!, ...closure)),
      )
    }
    const reader = await open(store)
    for (const [child] of closures) expect((await reader.get(child!.digest()))?.equals(child!)).toBe(true)
    // Those of one process at one time share an entry.
    expect((await keysOf(store, 'neve/dirs/log/')).length).toBeLessThanOrEqual(30)
  })

  it('when the index is long: later processes read packs of it', async () => {
    const store = new WatchedStore(new MemoryObjectStore())
    const closures = Array.from({ length: 600 }, (_, index) => wide(2, 100 + index))
    const writer = await open(store)
    for (const closure of closures) await upload(writer, ...closure)
    expect(await keysOf(store, 'neve/dirs/packs/')).toEqual([
      'neve/dirs/packs/0000000000',
      'neve/dirs/packs/0000000001',
    ])
    const reader = await open(store)
    store.calls.length = 0
    for (const index of [0, 255, 256, 511, 512, 599]) {
      const child = closures[index]![0]!
      expect((await reader.get(child.digest()))?.equals(child)).toBe(true)
    }
    expect(store.count('get', 'neve/dirs/packs/')).toBeLessThan(5)
    expect(store.count('get', 'neve/dirs/log/')).toBeLessThan(140)

    // Without the packs, and with a damaged one, it is the same but for the time.
    await store.put('neve/dirs/packs/0000000000', new Uint8Array(10))
    await store.delete('neve/dirs/packs/0000000001')
    const slow = await open(store)
    for (const index of [0, 255, 256, 511, 512, 599]) {
      const child = closures[index]![0]!
      expect((await slow.get(child.digest()))?.equals(child)).toBe(true)
    }
    // And they are made anew.
    store.calls.length = 0
    const third = await open(store)
    expect((await third.get(closures[511]![1]!.digest()))?.equals(closures[511]![1]!)).toBe(true)
    expect(store.count('get', 'neve/dirs/log/')).toBeLessThan(140)
  })

  it('again after their entry of the index was damaged, once they are uploaded again', async () => {
    const store = new MemoryObjectStore()
    await upload(await open(store), WITH_KEEP, COMPLICATED)
    await upload(await open(store), A, B, D)
    const key = 'neve/dirs/log/0000000000'
    const entry = (await store.get(key))!
    entry[entry.length - 1]! ^= 1
    await store.put(key, entry)
    const reader = await open(store)
    expect(await reader.get(WITH_KEEP.digest())).toBeUndefined()
    expect((await reader.get(B.digest()))?.equals(B)).toBe(true)
    expect((await reader.get(COMPLICATED.digest()))?.equals(COMPLICATED)).toBe(true)
    await upload(await open(store), WITH_KEEP, COMPLICATED)
    expect((await (await open(store)).get(WITH_KEEP.digest()))?.equals(WITH_KEEP)).toBe(true)
  })

  it('but not when the only closure that has them is damaged', async () => {
    const store = new MemoryObjectStore()
    await upload(await open(store), WITH_KEEP, COMPLICATED)
    await store.put(objectKey('dirs', COMPLICATED.digest()), new Uint8Array(5))
    const loss = { code: 'data-loss', digest: COMPLICATED.digest() }
    await expect((await open(store)).get(WITH_KEEP.digest())).rejects.toMatchObject(loss)
    await store.delete(objectKey('dirs', COMPLICATED.digest()))
    expect(await (await open(store)).get(WITH_KEEP.digest())).toBeUndefined()
  })

  it('where a store cannot write if absent in one step', async () => {
    const inner = new MemoryObjectStore()
    const store = new WatchedStore(inner)
    const foreign = new MemoryObjectStore()
    await upload(await open(foreign), A, B, D)
    const theirs = (await foreign.get('neve/dirs/log/0000000000'))!
    const writer = await open(store)
    let raced = false
    // Another writer replaces our entry between our write and our look at it.
    store.before = async (call, key) => {
      if (
        call !== 'get' ||
        raced ||
        (await inner.head(key)) === undefined ||
        !key.startsWith('neve/dirs/log/')
      )
        return
      raced = true
      await inner.put(key, theirs)
    }
    await upload(writer, WITH_KEEP, COMPLICATED)
    expect(raced).toBe(true)
    expect(await keysOf(inner, 'neve/dirs/log/')).toHaveLength(2)
    expect((await (await open(inner)).get(WITH_KEEP.digest()))?.equals(WITH_KEEP)).toBe(true)
  })
})

it('keeps only so much of what it read', async () => {
  const store = new WatchedStore(new MemoryObjectStore())
  const first = wide(500, 7)
  const second = wide(500, 8)
  const writer = await open(store)
  await upload(writer, ...first)
  await upload(writer, ...second)
  const reader = new ObjectStoreDirectoryService({ store, cacheSize: 1 })
  store.calls.length = 0
  for (const directory of first) await reader.get(directory.digest())
  expect(store.count('get', 'dirs/')).toBeLessThan(4)
  await reader.get(second.at(-1)!.digest())
  store.calls.length = 0
  await reader.get(first.at(-1)!.digest())
  expect(store.count('get', 'dirs/')).toBe(1)
  await reader.close()
  await expect(reader.get(first[0]!.digest())).rejects.toMatchObject({ code: 'closed' })
})
