import { encodeStatBlobResponse } from '@neve/castore-model'
import { CastoreError } from '@neve/castore-services'
import { ObjectStoreBlobService } from '@neve/castore-services/blob/object-store'
import { MemoryObjectStore, type ObjectStore } from '@neve/castore-services/object-store'
import { afterEach, describe, expect, it } from 'vitest'
import { framedChunk } from '../src/blob/chunk-frames.js'
import { objectKey } from '../src/blob/object-layout.js'
import { BLOB_B, HELLO, randomBlob, readBlob, sameBytes, writeBlob } from '../src/contract/blob-fixtures.js'
import { deferred } from './deferred.js'
import { keysOf, WatchedStore } from './object-store-fixture.js'

const LARGE = randomBlob(3 * 1024 * 1024 + 5, 21)
const services: ObjectStoreBlobService[] = []
afterEach(async () => {
  for (const service of services.splice(0)) await service.close()
})

function watched(
  options: { averageChunkSize?: number; concurrency?: number; verifyExisting?: boolean } = {},
) {
  const store = new WatchedStore(new MemoryObjectStore())
  const blobs = new ObjectStoreBlobService({ store, ...options })
  services.push(blobs)
  return { store, blobs }
}

const writes = (store: WatchedStore): number => store.count('put') + store.count('putIfAbsent')

describe('an object store is written to', () => {
  it.each([
    ['small', HELLO, 2],
    ['BLOB_B', BLOB_B, 3],
  ] as const)('02#24 once: %s', async (_name, { content, digest }, objects) => {
    const { store, blobs } = watched()
    for (const way of [() => blobs.put(content), () => writeBlob(blobs, content, 70_000)]) {
      expect((await way()).equals(digest)).toBe(true)
      expect(writes(store)).toBe(objects)
      expect(await keysOf(store)).toHaveLength(objects)
    }
  })

  it('02#24 once by callers at the same time', async () => {
    const { store, blobs } = watched()
    await Promise.all(Array.from({ length: 50 }, () => blobs.put(HELLO.content)))
    expect(store.count('put')).toBe(1)
    expect(await keysOf(store)).toHaveLength(2)
  })

  it('chunks first, then the list, which says that all of them are there', async () => {
    const { store, blobs } = watched()
    let settled = 0
    let listed = -1
    store.before = async (call, key) => {
      if (!call.startsWith('put')) return
      if (key.startsWith('blobs/')) listed = settled
      else {
        await new Promise(setImmediate)
        settled++
      }
    }
    await writeBlob(blobs, LARGE.content, 100_000)
    expect(settled).toBeGreaterThan(5)
    expect(listed).toBe(settled)
  })

  it('by so many requests at once as are allowed, and no more', async () => {
    const { store, blobs } = watched({ averageChunkSize: 4096, concurrency: 7 })
    store.before = () => new Promise(setImmediate)
    await Promise.all([blobs.put(LARGE.content), blobs.put(BLOB_B.content)])
    expect(store.most).toBe(7)
  })

  it('with a bounded number of bytes on the way', async () => {
    const { store, blobs } = watched()
    const piece = 1024 * 1024
    const held: (() => void)[] = []
    let taken = 0
    let ended = false
    let onTheWay = 0
    // The store is behind all the time: a put goes on when eight others wait, or nothing more comes.
    store.before = async (call) => {
      if (!call.startsWith('put')) return
      onTheWay = Math.max(onTheWay, taken - store.written)
      if (ended) return
      const turn = deferred<void>()
      held.push(() => turn.resolve())
      if (held.length > 8) held.shift()!()
      await turn.promise
    }
    const writer = blobs.openWrite()
    for (let number = 0; number < 128; number++) {
      await writer.write(randomBlob(piece, number).content)
      taken += piece
    }
    ended = true
    for (const release of held) release()
    await writer.close()
    expect(store.written).toBeGreaterThan(128 * piece)
    expect(onTheWay).toBeGreaterThan(piece)
    expect(onTheWay).toBeLessThan(48 * piece)
  })

  it('without a list when a chunk cannot be stored, and the writer says why, again and again', async () => {
    const { store, blobs } = watched()
    const refused = new CastoreError('storage', 'the disk is full')
    let puts = 0
    store.before = (call) => {
      if (call === 'put' && ++puts === 3) throw refused
    }
    const writer = blobs.openWrite()
    await writer.write(LARGE.content).catch(() => {})
    await expect(writer.close()).rejects.toBe(refused)
    await expect(writer.close()).rejects.toBe(refused)
    await expect(writer.write(HELLO.content)).rejects.toMatchObject({ code: 'closed', cause: refused })
    expect(await keysOf(store, 'blobs/')).toEqual([])
    expect((await writeBlob(blobs, LARGE.content)).equals(LARGE.digest)).toBe(true)
    expect(sameBytes(await readBlob(blobs, LARGE.digest), LARGE.content)).toBe(true)
  })

  it('by who waits for another that gives up', async () => {
    const { store, blobs } = watched()
    let open = () => {}
    const gate = new Promise<void>((resolve) => {
      open = resolve
    })
    let arrived = () => {}
    const arrival = new Promise<void>((resolve) => {
      arrived = resolve
    })
    store.before = (call) => {
      if (call !== 'put') return
      arrived()
      return gate
    }
    const controller = new AbortController()
    const first = blobs.put(HELLO.content, { signal: controller.signal })
    await arrival
    const second = blobs.put(HELLO.content)
    controller.abort(new Error('given up'))
    open()
    await expect(first).rejects.toThrow('given up')
    expect((await second).equals(HELLO.digest)).toBe(true)
    expect(sameBytes(await blobs.get(HELLO.digest), HELLO.content)).toBe(true)
  })

  it.each([0, 511, 2097153, 1000.5, Number.NaN])('02#14 not with chunks of %d bytes', (averageChunkSize) => {
    const create = () => new ObjectStoreBlobService({ store: new MemoryObjectStore(), averageChunkSize })
    expect(create).toThrow(expect.objectContaining({ code: 'invalid-input' }))
  })
})

type Damage = readonly [string, (store: ObjectStore, key: string) => Promise<void>]
const DAMAGES: readonly Damage[] = [
  ['is missing', (store, key) => store.delete(key)],
  ['is empty', (store, key) => store.put(key, new Uint8Array(0))],
  ['is cut off', async (store, key) => store.put(key, (await store.get(key))!.subarray(0, 9))],
  ['lacks its last byte', async (store, key) => store.put(key, (await store.get(key))!.slice(0, -1))],
  [
    'has a byte too many',
    async (store, key) => store.put(key, Buffer.concat([(await store.get(key))!, Buffer.of(0)])),
  ],
  ['is that of another chunk', (store, key) => store.put(key, framedChunk(BLOB_B.content.subarray(0, 4000)))],
  ['is no zstd', (store, key) => store.put(key, new Uint8Array(500).fill(7))],
  ['is a bomb', (store, key) => store.put(key, framedChunk(new Uint8Array(64 * 1024 * 1024)))],
  ['is too long', (store, key) => store.put(key, randomBlob(40 * 1024 * 1024, 3).content)],
]

describe('what is damaged', () => {
  it.each(DAMAGES)('02#27 is data-loss, and heals: a chunk that %s', async (name, damage) => {
    for (const { content, digest } of [HELLO, LARGE]) {
      const { store, blobs } = watched()
      await blobs.put(content)
      const chunk = (await blobs.chunks(digest))?.[1]?.digest ?? digest
      await damage(store.inner, objectKey('chunks', chunk))
      await expect(readBlob(blobs, digest)).rejects.toMatchObject({
        code: 'data-loss',
        digest: chunk,
        backend: 'objectstore+memory',
      })
      if (name !== 'is missing') {
        await expect(blobs.get(chunk)).rejects.toMatchObject({ code: 'data-loss', digest: chunk })
      } else if (content === LARGE.content) expect(await blobs.get(chunk)).toBeUndefined()
      for (const put of [() => blobs.put(content), () => writeBlob(blobs, content)]) {
        expect((await put()).equals(digest)).toBe(true)
        expect(sameBytes(await readBlob(blobs, digest), content)).toBe(true)
        await damage(store.inner, objectKey('chunks', chunk))
      }
    }
  })

  it.each([
    ['is missing', undefined],
    ['is no message', Uint8Array.of(0xff, 0xff, 0xff)],
    ['has a digest of 31 bytes', Uint8Array.of(0x12, 0x23, 0x0a, 0x1f, ...new Uint8Array(31), 0x10, 1)],
    ['has an empty chunk', Uint8Array.of(0x12, 0x22, 0x0a, 0x20, ...new Uint8Array(32))],
    [
      'names the blob itself',
      encodeStatBlobResponse([
        { digest: LARGE.digest, size: 5n },
        { digest: HELLO.digest, size: 12n },
      ]),
    ],
    ['has one other chunk', encodeStatBlobResponse([{ digest: HELLO.digest, size: 12n }])],
    ['says that there is one chunk only', new Uint8Array(0)],
    [
      'is of another blob',
      encodeStatBlobResponse([
        { digest: HELLO.digest, size: 12n },
        { digest: BLOB_B.digest, size: 9n },
      ]),
    ],
    ['is of chunks with other sizes', 'sizes' as const],
  ])('heals: a list that %s', async (name, list) => {
    const store = new MemoryObjectStore()
    const writer = new ObjectStoreBlobService({ store })
    await writer.put(HELLO.content)
    await writer.put(LARGE.content)
    const key = objectKey('blobs', LARGE.digest)
    if (list === undefined) await store.delete(key)
    else if (list === 'sizes') {
      const sound = (await writer.chunks(LARGE.digest))!
      const wrong = sound.map(({ digest, size }, index) => ({
        digest,
        size: index < 2 ? size + 1n - 2n * BigInt(index) : size,
      }))
      await store.put(key, encodeStatBlobResponse(wrong))
    } else await store.put(key, list)
    const blobs = new ObjectStoreBlobService({ store })
    services.push(writer, blobs)
    if (name === 'is missing') expect(await readBlob(blobs, LARGE.digest)).toBeUndefined()
    else await expect(readBlob(blobs, LARGE.digest)).rejects.toMatchObject({ code: 'data-loss' })
    await blobs.put(LARGE.content)
    expect(sameBytes(await readBlob(blobs, LARGE.digest), LARGE.content)).toBe(true)
    const another = new ObjectStoreBlobService({ store })
    services.push(another)
    expect(sameBytes(await readBlob(another, LARGE.digest), LARGE.content)).toBe(true)
  })

  it('heals for another process: a list that was cached', async () => {
    const store = new MemoryObjectStore()
    const blobs = new ObjectStoreBlobService({ store })
    const other = new ObjectStoreBlobService({ store })
    services.push(blobs, other)
    await other.put(LARGE.content)
    const lying = ((await other.chunks(LARGE.digest)) ?? []).toReversed()
    await store.put(objectKey('blobs', LARGE.digest), encodeStatBlobResponse(lying))
    await expect(readBlob(blobs, LARGE.digest)).rejects.toMatchObject({
      code: 'data-loss',
      digest: LARGE.digest,
    })
    await other.put(LARGE.content)
    expect(sameBytes(await readBlob(blobs, LARGE.digest), LARGE.content)).toBe(true)
  })

  it('is overlooked when what exists is not to be verified, unless it is empty', async () => {
    const { store, blobs } = watched({ verifyExisting: false })
    await blobs.put(HELLO.content)
    const key = objectKey('chunks', HELLO.digest)
    await store.inner.put(key, new Uint8Array(100))
    store.calls.length = 0
    await blobs.put(HELLO.content)
    expect(store.calls.filter((call) => call.key === key)).toEqual([{ call: 'head', key }])
    await store.inner.put(key, new Uint8Array(0))
    await blobs.put(HELLO.content)
    expect(sameBytes(await blobs.get(HELLO.digest), HELLO.content)).toBe(true)
  })

  it('is not what another writer compressed differently', async () => {
    const { store, blobs } = watched()
    // As the reference writes it: without the content's length.
    await store.inner.put(
      objectKey('chunks', HELLO.digest),
      Buffer.from('28b52ffd005861000048656c6c6f20576f726c6421', 'hex'),
    )
    await blobs.put(HELLO.content)
    expect(store.count('put')).toBe(0)
  })
})
