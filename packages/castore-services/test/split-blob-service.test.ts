import { B3Digest } from '@neve/castore-model'
import { type BlobListStore, blobStream, CastoreError, type ChunkStore } from '@neve/castore-services'
import { MemoryBlobService } from '@neve/castore-services/blob/memory'
import {
  blobListStoreOf,
  chunkStoreOf,
  MemoryBlobListStore,
  MemoryChunkStore,
  normalizedBlobList,
  splitBlobService,
  trustedBlobList,
} from '@neve/castore-services/split'
import { describe, expect, it } from 'vitest'
import { BLOB_B, collectBytes, HELLO, randomBlob, sameBytes } from '../src/contract/blob-fixtures.js'
import { ChunkingBlobService } from './chunking-blob-service.js'
import { deferred, settled } from './deferred.js'
import { CountingBlobListStore, CountingChunkStore } from './split-stores.js'

const LARGE = randomBlob(2_000_000, 41)

function counted() {
  const chunks = new CountingChunkStore(new MemoryChunkStore())
  const lists = new CountingBlobListStore(new MemoryBlobListStore())
  const forget = () => {
    chunks.calls.length = 0
    lists.calls.length = 0
  }
  return { chunks, lists, forget }
}

describe('reading with a size hint (spec 10 section 3)', () => {
  it('10#5 a small hint: one look-up for a blob of a single chunk, two for one in chunks', async () => {
    const { chunks, lists, forget } = counted()
    const blobs = splitBlobService({ chunks, lists })
    await blobs.put(HELLO.content)
    await blobs.put(LARGE.content)
    const limit = 128n * 1024n
    for (const read of [
      (digest: B3Digest, sizeHint: bigint) => blobs.open(digest, { sizeHint }),
      (digest: B3Digest, sizeHint: bigint) => blobs.get(digest, { sizeHint, maxSize: 4_000_000 }),
    ]) {
      forget()
      expect(await read(HELLO.digest, limit - 1n)).toBeDefined()
      expect([chunks.calls, lists.calls]).toEqual([['get'], []])
      forget()
      expect(await read(B3Digest.of(Uint8Array.of(9)), 1n)).toBeUndefined()
      expect([chunks.calls, lists.calls]).toEqual([['get'], ['get']])
    }
    forget()
    await blobs.open(LARGE.digest, { sizeHint: 5n })
    expect([chunks.calls, lists.calls]).toEqual([['get'], ['get']])
  })

  it.each([undefined, 128n * 1024n, 2n ** 63n])(
    '10#5 the list comes first with the hint %s',
    async (sizeHint) => {
      const { chunks, lists, forget } = counted()
      const blobs = splitBlobService({ chunks, lists })
      await blobs.put(HELLO.content)
      await blobs.put(LARGE.content)
      forget()
      await blobs.open(HELLO.digest, { sizeHint })
      expect([chunks.calls, lists.calls]).toEqual([['get'], ['get']])
      forget()
      await blobs.open(LARGE.digest, { sizeHint })
      expect([chunks.calls, lists.calls]).toEqual([[], ['get']])
    },
  )

  it('10#5 the limit follows the average chunk size', async () => {
    const { chunks, lists, forget } = counted()
    const blobs = splitBlobService({ chunks, lists, averageChunkSize: 1024 })
    await blobs.put(HELLO.content)
    forget()
    await blobs.open(HELLO.digest, { sizeHint: 512n })
    expect(lists.calls).toEqual(['get'])
    forget()
    await blobs.open(HELLO.digest, { sizeHint: 511n })
    expect(lists.calls).toEqual([])
  })

  it('asks nobody for the empty blob', async () => {
    const { chunks, lists } = counted()
    const blobs = splitBlobService({ chunks, lists })
    await blobs.put(new Uint8Array(0))
    await blobs.openWrite().close()
    expect(await blobs.has(B3Digest.EMPTY)).toBe(true)
    expect(await blobs.get(B3Digest.EMPTY)).toHaveLength(0)
    expect(await blobs.chunks(B3Digest.EMPTY)).toEqual([])
    expect([chunks.calls, lists.calls]).toEqual([[], []])
  })
})

describe('lists (spec 10 section 2)', () => {
  it.each([
    ['split', () => splitOfMemory()],
    ['the halves of a chunking service', () => halvesOf(new ChunkingBlobService(65536))],
    ['the halves of a service that does not chunk', () => halvesOf(new MemoryBlobService())],
  ])('10#3 none, one or several entries: %s', async (name, create) => {
    const { blobs, lists } = create()
    expect(await lists.get(B3Digest.EMPTY)).toEqual([])
    for (const content of [Uint8Array.of(7), LARGE.content]) {
      const digest = await blobs.put(content)
      const list = (await lists.get(digest))!
      const told = (await blobs.chunks(digest))!
      if (content.length > 1 && !name.includes('not chunk')) {
        expect(list.length).toBeGreaterThan(1)
        expect(list).toEqual(told)
      } else {
        expect(list).toEqual([{ digest, size: BigInt(content.length) }])
        expect(told).toEqual([])
      }
    }
  })

  it('10#3 keeps the order of chunks, and stores a repeated one once', async () => {
    const { chunks, lists } = counted()
    const blobs = splitBlobService({ chunks, lists })
    const digest = await blobs.put(new Uint8Array(4 * 1024 * 1024))
    expect(chunks.calls).toEqual(['put'])
    const list = (await lists.get(digest))!
    expect(list).toHaveLength(8)
    expect(new Set(list.map(({ size }) => size))).toEqual(new Set([524288n]))
  })

  const other = B3Digest.of(Uint8Array.of(1))
  it.each([
    ['the empty list', HELLO.digest, []],
    ['one entry of another digest', HELLO.digest, [{ digest: other, size: 12n }]],
    [
      'the blob itself among others',
      HELLO.digest,
      [HELLO, HELLO].map(({ digest }) => ({ digest, size: 6n })),
    ],
    ['bytes in the empty blob', B3Digest.EMPTY, [{ digest: other, size: 1n }]],
  ])('10#1 what cannot be a list is refused: %s', async (_name, digest, list) => {
    expect(() => normalizedBlobList(digest, list)).toThrow(
      expect.objectContaining({ name: 'CastoreError', code: 'invalid-request' }),
    )
    expect(() => trustedBlobList(digest, list, 'peer')).toThrow(
      expect.objectContaining({ name: 'DataLossError', backend: 'peer' }),
    )
    if (digest.equals(B3Digest.EMPTY)) return
    const lying = { has: async () => true, get: async () => list, put: async () => {} }
    const blobs = splitBlobService({ chunks: new MemoryChunkStore(), lists: lying, backend: 'liar' })
    for (const call of [() => blobs.open(digest), () => blobs.get(digest), () => blobs.chunks(digest)]) {
      await expect(call()).rejects.toMatchObject({ code: 'data-loss', backend: 'liar' })
    }
  })
})

describe('damage in one half', () => {
  it('a chunk that nobody has is data loss', async () => {
    const { blobs, lists } = splitOfMemory()
    const digest = await blobs.put(LARGE.content)
    await blobs.put(HELLO.content)
    const bare = splitBlobService({ chunks: new MemoryChunkStore(), lists, backend: 'bare' })
    await expect(bare.get(digest, { maxSize: 4_000_000 })).rejects.toMatchObject({ code: 'data-loss' })
    await expect(bare.open(HELLO.digest)).rejects.toMatchObject({ code: 'data-loss', backend: 'bare' })
    expect(await bare.has(digest)).toBe(true)
  })

  it('chunks in the wrong order are found out at the end, before the last bytes', async () => {
    const { chunks, lists, blobs } = splitOfMemory()
    const digest = await blobs.put(LARGE.content)
    const list = [...(await lists.get(digest))!].reverse()
    const lying = { has: async () => true, get: async () => list, put: async () => {} }
    const misled = splitBlobService({ chunks, lists: lying })
    await expect(misled.get(digest, { maxSize: 4_000_000 })).rejects.toMatchObject({ code: 'data-loss' })
    await using reader = (await misled.open(digest))!
    let taken = 0n
    await expect(async () => {
      for await (const piece of blobStream(reader)) taken += BigInt(piece.length)
    }).rejects.toMatchObject({ code: 'data-loss' })
    expect(taken).toBeLessThan(reader.size)
  })

  it('a single chunk of another size than its list says is data loss', async () => {
    const { chunks, blobs } = splitOfMemory()
    await blobs.put(HELLO.content)
    for (const size of [1n, 11n, 13n]) {
      const get = async () => [{ digest: HELLO.digest, size }]
      const misled = splitBlobService({ chunks, lists: { has: async () => true, get, put: async () => {} } })
      await expect(misled.get(HELLO.digest)).rejects.toMatchObject({ code: 'data-loss' })
    }
  })

  it('a chunk above the limit is refused before it is fetched', async () => {
    const { chunks, lists, forget } = counted()
    const blobs = splitBlobService({ chunks, lists, maxChunkSize: 1000 })
    await chunks.put(BLOB_B.content)
    await lists.put(BLOB_B.digest, [{ digest: BLOB_B.digest, size: 1044480n }])
    forget()
    await expect(blobs.open(BLOB_B.digest)).rejects.toMatchObject({ code: 'too-large' })
    expect(chunks.calls).toEqual([])
  })
})

describe('writing', () => {
  it('stores at most so many chunks at once, and the list after all of them', async () => {
    const gate = deferred<void>()
    const order: string[] = []
    let running = 0
    let most = 0
    const inner = new MemoryChunkStore()
    const chunks: ChunkStore = {
      has: (digest, options) => inner.has(digest, options),
      get: (digest, options) => inner.get(digest, options),
      put: async (content, options) => {
        running += 1
        most = Math.max(most, running)
        await gate.promise
        running -= 1
        order.push('chunk')
        return await inner.put(content, options)
      },
    }
    const memory = new MemoryBlobListStore()
    const lists: BlobListStore = {
      has: (digest) => memory.has(digest),
      get: (digest) => memory.get(digest),
      put: async (digest, list) => {
        order.push('list')
        await memory.put(digest, list)
      },
    }
    const blobs = splitBlobService({ chunks, lists, averageChunkSize: 4096, writeConcurrency: 5 })
    const content = new Uint8Array(LARGE.content.subarray(0, 300_000))
    const putting = blobs.put(content)
    await settled()
    expect(most).toBe(5)
    gate.resolve()
    const digest = await putting
    expect(most).toBe(5)
    expect(order.at(-1)).toBe('list')
    expect(order.filter((step) => step === 'list')).toHaveLength(1)
    await using reader = (await blobs.open(digest))!
    expect(sameBytes(await collectBytes(blobStream(reader)), content)).toBe(true)
  })

  it('reports the first failure of a chunk from every later call, and stores no list', async () => {
    const failure = new CastoreError('unavailable', 'gone')
    const chunks = new CountingChunkStore(new MemoryChunkStore())
    const failing: ChunkStore = {
      has: (digest) => chunks.has(digest),
      get: (digest) => chunks.get(digest),
      put: async (content) => {
        if (chunks.calls.length >= 2) throw failure
        return await chunks.put(content)
      },
    }
    const lists = new CountingBlobListStore(new MemoryBlobListStore())
    const blobs = splitBlobService({ chunks: failing, lists })
    await expect(blobs.put(LARGE.content)).rejects.toBe(failure)
    const writer = blobs.openWrite()
    // As much as makes one chunk, so that it is not this call that finds out.
    await writer.write(LARGE.content.subarray(0, 600_000))
    await expect(writer.flush()).rejects.toBe(failure)
    await expect(writer.write(HELLO.content)).rejects.toMatchObject({ code: 'closed', cause: failure })
    await expect(writer.close()).rejects.toBe(failure)
    expect(lists.calls).toEqual([])
  })

  it('skips what is there when told to', async () => {
    const { chunks, lists, forget } = counted()
    await splitBlobService({ chunks, lists }).put(LARGE.content)
    const stored = chunks.calls.length
    forget()
    const blobs = splitBlobService({ chunks, lists, skipPresent: true })
    await blobs.put(LARGE.content)
    expect(chunks.calls).toEqual(Array.from({ length: stored }, () => 'has'))
    forget()
    await splitBlobService({ chunks, lists }).put(LARGE.content)
    expect(chunks.calls).toEqual(Array.from({ length: stored }, () => 'put'))
  })

  it('is not disturbed by a caller that reuses its array', async () => {
    const { blobs } = splitOfMemory()
    await using writer = blobs.openWrite()
    const buffer = new Uint8Array(10_000)
    for (let at = 0; at < LARGE.content.length; at += buffer.length) {
      buffer.set(LARGE.content.subarray(at, at + buffer.length))
      await writer.write(buffer)
      buffer.fill(0)
    }
    expect((await writer.close()).equals(LARGE.digest)).toBe(true)
    expect(sameBytes(await blobs.get(LARGE.digest, { maxSize: 4_000_000 }), LARGE.content)).toBe(true)
  })
})

describe('the halves of a blob service', () => {
  it('10#5 a size hint goes through to the service', async () => {
    const hints: unknown[] = []
    class Noting extends MemoryBlobService {
      override get(...args: Parameters<MemoryBlobService['get']>) {
        hints.push(args[1]?.sizeHint)
        return super.get(...args)
      }
    }
    const blobs = new Noting()
    await blobs.put(HELLO.content)
    await splitBlobService({ chunks: chunkStoreOf(blobs), lists: blobListStoreOf(blobs) }).open(
      HELLO.digest,
      {
        sizeHint: 12n,
      },
    )
    expect(hints).toEqual([12n])
  })

  it('a blob that is too large to be a chunk is absent where it has chunks, and refused where not', async () => {
    const chunking = chunkStoreOf(new ChunkingBlobService(65536))
    await chunking.put(LARGE.content)
    expect(await chunking.get(LARGE.digest, { maxSize: 1_000_000 })).toBeUndefined()
    expect(sameBytes(await chunking.get(LARGE.digest), LARGE.content)).toBe(true)
    const whole = chunkStoreOf(new MemoryBlobService())
    await whole.put(LARGE.content)
    await expect(whole.get(LARGE.digest, { maxSize: 1_000_000 })).rejects.toMatchObject({ code: 'too-large' })
  })

  it('a small hint for a large blob still finds it', async () => {
    const blobs = new MemoryBlobService()
    await blobs.put(LARGE.content)
    const split = splitBlobService({
      chunks: chunkStoreOf(blobs),
      lists: blobListStoreOf(blobs),
      maxChunkSize: 4_000_000,
    })
    await expect(split.get(LARGE.digest, { sizeHint: 1n, maxSize: 1000 })).rejects.toMatchObject({
      code: 'too-large',
      size: 2_000_000n,
    })
    await using reader = (await split.open(LARGE.digest, { sizeHint: 1n }))!
    expect(reader.size).toBe(2_000_000n)
  })

  it('a list heals a blob of which the service has only lost the list', async () => {
    const blobs = new ChunkingBlobService(65536)
    const split = splitBlobService({
      chunks: chunkStoreOf(blobs),
      lists: blobListStoreOf(blobs),
      averageChunkSize: 65536,
    })
    await split.put(LARGE.content)
    blobs.lists.clear()
    expect(await split.has(LARGE.digest)).toBe(false)
    await split.put(LARGE.content)
    expect(sameBytes(await split.get(LARGE.digest, { maxSize: 4_000_000 }), LARGE.content)).toBe(true)
  })
})

function splitOfMemory() {
  const chunks = new MemoryChunkStore()
  const lists = new MemoryBlobListStore()
  return { chunks, lists, blobs: splitBlobService({ chunks, lists }) }
}

function halvesOf(blobs: MemoryBlobService | ChunkingBlobService) {
  return { chunks: chunkStoreOf(blobs), lists: blobListStoreOf(blobs), blobs }
}
