import { type BlobService, blobStream, type CastoreError } from '@neve/castore-services'
import { CacheBlobService, type CacheBlobServiceInit } from '@neve/castore-services/blob/cache'
import { EmbeddedBlobService } from '@neve/castore-services/blob/embedded'
import { MemoryBlobService } from '@neve/castore-services/blob/memory'
import { blobServiceContract } from '@neve/castore-services/contract'
import { EmbeddedStore } from '@neve/embedded-store'
import { describe, expect, it } from 'vitest'
import {
  collectBytes,
  HELLO,
  randomBlob,
  readBlob,
  sameBytes,
  writeBlob,
} from '../src/contract/blob-fixtures.js'
import { BlobProbe } from './blob-probe.js'
import { ChunkingBlobService } from './chunking-blob-service.js'
import { deferred, settled } from './deferred.js'
import { temporaryFolder } from './embedded-fixture.js'

blobServiceContract('cache, written through', {
  create: () => new CacheBlobService({ near: new MemoryBlobService(), far: new MemoryBlobService() }),
})

blobServiceContract('cache, written back', {
  create: () =>
    new CacheBlobService({ near: new MemoryBlobService(), far: new MemoryBlobService(), writes: 'back' }),
})

/** Everything is read from the far side first: the near one forgets what was written. */
blobServiceContract('cache, with a near side that was lost', {
  create: () => {
    const far = new ChunkingBlobService(65536)
    const cache = new CacheBlobService({ near: new ChunkingBlobService(65536), far })
    cache.put = (content, options) => far.put(content, options)
    cache.openWrite = (options) => far.openWrite(options)
    return cache
  },
  chunkSize: 131072,
})

const engines = new WeakMap<CacheBlobService, EmbeddedStore>()
blobServiceContract('cache, embedded near', {
  create: async () => {
    const engine = await EmbeddedStore.open(temporaryFolder())
    const cache = new CacheBlobService({
      near: new EmbeddedBlobService(engine),
      far: new ChunkingBlobService(65536),
    })
    engines.set(cache, engine)
    return cache
  },
  dispose: async (cache) => {
    await cache.close()
    await engines.get(cache)!.close()
  },
})

function fixture(init: Partial<CacheBlobServiceInit> & { farStore?: BlobService } = {}) {
  const { farStore = new ChunkingBlobService(65536), ...options } = init
  const nearStore = new ChunkingBlobService(65536)
  const [near, far] = [new BlobProbe(nearStore), new BlobProbe(farStore)]
  const trouble: string[] = []
  const cache = new CacheBlobService({
    near,
    far,
    onTrouble: ({ store, error }) => trouble.push(`${store} ${(error as CastoreError).code}`),
    ...options,
  })
  return { cache, near, far, nearStore, farStore, trouble }
}

const LARGE = randomBlob(1_500_000, 50)

describe('a cache of blobs', () => {
  it('never asks the far side for what is near', async () => {
    const { cache, nearStore, far } = fixture()
    for (const { content, digest } of [HELLO, LARGE]) {
      await nearStore.put(content)
      expect(await cache.has(digest)).toBe(true)
      expect(await cache.chunks(digest)).toEqual(await nearStore.chunks(digest))
      expect(sameBytes(await cache.get(digest, { maxSize: content.length }), content)).toBe(true)
      expect(sameBytes(await readBlob(cache, digest), content)).toBe(true)
    }
    expect(far.total).toBe(0)
  })

  it.each(['get', 'open'] as const)('fetches a small blob once, and then has it near: %s', async (call) => {
    const { cache, nearStore, farStore, far } = fixture()
    await farStore.put(HELLO.content)
    const read = () => (call === 'get' ? cache.get(HELLO.digest) : readBlob(cache, HELLO.digest))
    for (let round = 0; round < 3; round++) expect(sameBytes(await read(), HELLO.content)).toBe(true)
    await cache.close()
    expect(sameBytes(await nearStore.get(HELLO.digest), HELLO.content)).toBe(true)
    expect(sameBytes(await read(), HELLO.content)).toBe(true)
    expect(far.calls).toMatchObject({ get: 1, open: 0, chunks: 0 })
  })

  it('fetches a blob once for a hundred who ask at once', async () => {
    const { cache, farStore, far } = fixture()
    await farStore.put(HELLO.content)
    const opened = deferred<void>()
    far.gate = opened.promise
    const reads = Array.from({ length: 100 }, (_, index) =>
      index % 2 ? cache.get(HELLO.digest) : readBlob(cache, HELLO.digest),
    )
    await settled()
    opened.resolve()
    for (const content of await Promise.all(reads)) expect(sameBytes(content, HELLO.content)).toBe(true)
    expect(far.calls).toMatchObject({ get: 1, open: 0 })
    await cache.close()
  })

  it('goes on for the others when one of those who ask gives up', async () => {
    const { cache, farStore, far } = fixture()
    await farStore.put(HELLO.content)
    const opened = deferred<void>()
    far.gate = opened.promise
    const controller = new AbortController()
    const reason = new Error('not wanted any more')
    const impatient = cache.get(HELLO.digest, { signal: controller.signal })
    const patient = cache.get(HELLO.digest)
    await settled()
    controller.abort(reason)
    await expect(impatient).rejects.toBe(reason)
    opened.resolve()
    expect(sameBytes(await patient, HELLO.content)).toBe(true)
    expect(far.calls.get).toBe(1)
    await cache.close()
  })

  it('stores a chunked blob that is streamed whole, with its list', async () => {
    const { cache, nearStore, farStore, far, near } = fixture()
    await farStore.put(LARGE.content)
    const chunks = (await farStore.chunks(LARGE.digest))!
    expect(sameBytes(await readBlob(cache, LARGE.digest), LARGE.content)).toBe(true)
    expect(far.calls).toMatchObject({ get: 1 + chunks.length, chunks: 1, open: 0 })
    expect(await nearStore.chunks(LARGE.digest)).toEqual(chunks)
    far.reset()
    expect(sameBytes(await readBlob(cache, LARGE.digest), LARGE.content)).toBe(true)
    expect(far.total).toBe(0)
    expect(near.calls.put).toBe(0)
    expect([near.openWriters, near.openReaders, far.openReaders]).toEqual([0, 0, 0])
  })

  it('stores single chunks that are read at random, and asks for each once', async () => {
    const { cache, nearStore, farStore, far } = fixture()
    await farStore.put(LARGE.content)
    const chunks = (await farStore.chunks(LARGE.digest))!
    const ends = async () => {
      await using reader = (await cache.open(LARGE.digest))!
      expect(sameBytes(await reader.readAt(0n, 10), LARGE.content.subarray(0, 10))).toBe(true)
      expect(sameBytes(await reader.readAt(reader.size - 10n, 10), LARGE.content.subarray(-10))).toBe(true)
    }
    for (let round = 0; round < 3; round++) await ends()
    await cache.close()
    expect(far.calls).toMatchObject({ get: 3, chunks: 1, open: 0 })
    const stored = await Promise.all(chunks.map(({ digest }) => nearStore.has(digest)))
    expect(stored).toEqual(chunks.map((_chunk, index) => index === 0 || index === chunks.length - 1))
  })

  it('stores nothing of a stream that is left early', async () => {
    const { cache, nearStore, farStore, near } = fixture()
    await farStore.put(LARGE.content)
    await using reader = (await cache.open(LARGE.digest))!
    for await (const _piece of blobStream(reader)) break
    await cache.close()
    expect(await nearStore.has(LARGE.digest)).toBe(false)
    expect(near.openWriters).toBe(0)
    expect(sameBytes(await collectBytes(blobStream(reader)), LARGE.content)).toBe(true)
    expect(await nearStore.has(LARGE.digest)).toBe(true)
  })

  it('copies a large blob that the far side has in one piece, once for all who open it', async () => {
    const { cache, nearStore, farStore, far } = fixture({ farStore: new MemoryBlobService() })
    await farStore.put(LARGE.content)
    const readers = await Promise.all(Array.from({ length: 5 }, () => cache.open(LARGE.digest)))
    for (const reader of readers) {
      expect(sameBytes(await reader!.readAt(700_000n, 10), LARGE.content.subarray(700_000, 700_010))).toBe(
        true,
      )
      await reader!.close()
    }
    expect(await nearStore.has(LARGE.digest)).toBe(true)
    expect(far.openReaders).toBe(0)
    far.reset()
    expect(sameBytes(await readBlob(cache, LARGE.digest), LARGE.content)).toBe(true)
    expect(far.total).toBe(0)
  })

  it('answers for what neither side has, and leaves the near one alone', async () => {
    const { cache, near, far } = fixture()
    expect(await cache.has(HELLO.digest)).toBe(false)
    expect(await cache.chunks(HELLO.digest)).toBeUndefined()
    expect(await cache.open(HELLO.digest)).toBeUndefined()
    expect(await cache.get(HELLO.digest)).toBeUndefined()
    expect(near.calls).toMatchObject({ put: 0, openWrite: 0 })
    expect(far.calls).toMatchObject({ has: 1, chunks: 1, get: 2, open: 0 })
  })

  it.each(['unavailable', 'storage', 'data-loss'] as const)(
    'reads on at the far side when the near one fails for every call: %s',
    async (code) => {
      const { cache, near, farStore, trouble } = fixture()
      for (const { content } of [HELLO, LARGE]) await farStore.put(content)
      near.fail(code)
      expect(await cache.has(HELLO.digest)).toBe(true)
      expect((await cache.chunks(LARGE.digest))!.length).toBeGreaterThan(1)
      expect(sameBytes(await cache.get(HELLO.digest), HELLO.content)).toBe(true)
      expect(sameBytes(await readBlob(cache, LARGE.digest), LARGE.content)).toBe(true)
      await using reader = (await cache.open(LARGE.digest))!
      expect(sameBytes(await reader.readAt(10n, 10), LARGE.content.subarray(10, 20))).toBe(true)
      await cache.close()
      expect(new Set(trouble)).toEqual(new Set([`near ${code}`]))
      expect(near.openWriters).toBe(0)
    },
  )

  it('reads a large blob in one piece from the far side when the near one takes nothing', async () => {
    const { cache, near, farStore, trouble, far } = fixture({ farStore: new MemoryBlobService() })
    await farStore.put(LARGE.content)
    near.fail('storage', 'write', 'close', 'put')
    expect(sameBytes(await readBlob(cache, LARGE.digest), LARGE.content)).toBe(true)
    expect(trouble).toEqual(['near storage'])
    expect([far.openReaders, near.openWriters]).toEqual([0, 0])
  })

  it('passes on trouble of the far side, and does not call a blob absent', async () => {
    const { cache, far } = fixture()
    far.fail('unavailable')
    const unavailable = { code: 'unavailable' }
    await expect(cache.has(HELLO.digest)).rejects.toMatchObject(unavailable)
    await expect(cache.chunks(HELLO.digest)).rejects.toMatchObject(unavailable)
    await expect(cache.open(HELLO.digest)).rejects.toMatchObject(unavailable)
    await expect(cache.get(HELLO.digest)).rejects.toMatchObject(unavailable)
    far.heal()
    expect(await cache.has(HELLO.digest)).toBe(false)
  })

  it.each([
    ['small', HELLO],
    ['large', LARGE],
  ])('reads past a near copy that is damaged, and heals it: %s', async (_name, { content, digest }) => {
    const { cache, nearStore, farStore } = fixture()
    for (const read of [
      () => cache.get(digest, { maxSize: content.length }),
      () => readBlob(cache, digest),
      async () => {
        await using reader = (await cache.open(digest))!
        return await reader.readAt(0n, content.length)
      },
    ]) {
      await farStore.put(content)
      await nearStore.put(content)
      await nearStore.damage(digest)
      expect(sameBytes(await read(), content)).toBe(true)
      await cache.close()
      expect(sameBytes(await readBlob(nearStore, digest), content)).toBe(true)
    }
  })

  it('holds no more than its limit for a slow near side', async () => {
    const { cache, near, farStore } = fixture({ fillBytes: 2_000 })
    const blobs = Array.from({ length: 5 }, (_, index) => randomBlob(1_000, 60 + index))
    for (const { content } of blobs) await farStore.put(content)
    const opened = deferred<void>()
    near.put = async (content) => {
      await opened.promise
      return near.inner.put(content)
    }
    let answered = 0
    const reads = blobs.map(async ({ digest }) => {
      await cache.get(digest)
      answered += 1
    })
    await settled()
    await settled()
    expect(answered).toBe(2)
    opened.resolve()
    await Promise.all(reads)
    await cache.close()
    for (const { digest } of blobs) expect(await near.inner.has(digest)).toBe(true)
  })
})

describe('writing through a cache', () => {
  const ways = [
    ['put', (cache: BlobService) => cache.put(LARGE.content)],
    ['openWrite', (cache: BlobService) => writeBlob(cache, LARGE.content, 100_000)],
  ] as const

  it.each(ways)('stores on both sides: %s', async (_name, write) => {
    const { cache, nearStore, farStore } = fixture()
    expect((await write(cache)).equals(LARGE.digest)).toBe(true)
    expect(sameBytes(await readBlob(farStore, LARGE.digest), LARGE.content)).toBe(true)
    expect(sameBytes(await readBlob(nearStore, LARGE.digest), LARGE.content)).toBe(true)
  })

  it.each(ways)('does not store near what the far side did not take: %s', async (_name, write) => {
    for (const call of ['write', 'close']) {
      const { cache, far, near, nearStore } = fixture()
      far.fail('unavailable', 'put', call)
      await expect(write(cache)).rejects.toMatchObject({ code: 'unavailable' })
      expect(await nearStore.has(LARGE.digest)).toBe(false)
      expect([near.openWriters, far.openWriters]).toEqual([0, 0])
    }
  })

  it.each(ways)('does not fail when only the near side fails: %s', async (_name, write) => {
    for (const call of ['put', 'write', 'close']) {
      const { cache, near, far, farStore } = fixture()
      near.fail('storage', call)
      expect((await write(cache)).equals(LARGE.digest)).toBe(true)
      expect(sameBytes(await readBlob(farStore, LARGE.digest), LARGE.content)).toBe(true)
      expect([near.openWriters, far.openWriters]).toEqual([0, 0])
    }
  })
})

describe('writing back through a cache', () => {
  const back = () => fixture({ writes: 'back' })

  it('answers when the near side has it, and copies behind', async () => {
    const { cache, far, farStore, nearStore } = back()
    const opened = deferred<void>()
    far.gate = opened.promise
    await cache.put(HELLO.content)
    await writeBlob(cache, LARGE.content)
    expect(await nearStore.has(LARGE.digest)).toBe(true)
    expect(await farStore.has(LARGE.digest)).toBe(false)
    let flushed = false
    const flushing = cache.flush().then(() => {
      flushed = true
    })
    await settled()
    expect(flushed).toBe(false)
    opened.resolve()
    await flushing
    expect(sameBytes(await readBlob(farStore, LARGE.digest), LARGE.content)).toBe(true)
    expect(sameBytes(await readBlob(farStore, HELLO.digest), HELLO.content)).toBe(true)
    expect(await farStore.chunks(LARGE.digest)).toEqual(await nearStore.chunks(LARGE.digest))
  })

  it('keeps in mind what the far side did not take, and tries again', async () => {
    const { cache, far, farStore, trouble } = back()
    far.fail('unavailable')
    const blobs = Array.from({ length: 10 }, (_, index) => randomBlob(1_000 + index, 70 + index))
    for (const { content } of blobs) await cache.put(content)
    await expect(cache.flush()).rejects.toMatchObject({ code: 'unavailable' })
    await expect(cache.close()).rejects.toMatchObject({ code: 'unavailable' })
    expect(new Set(trouble)).toEqual(new Set(['far unavailable']))
    far.heal()
    await cache.flush()
    for (const { digest } of blobs) expect(await farStore.has(digest)).toBe(true)
    expect(far.openWriters).toBe(0)
    far.reset()
    await cache.close()
    expect(far.total).toBe(0)
  })

  it('reports what was lost before it was copied', async () => {
    const { cache, far, nearStore } = back()
    far.fail('unavailable')
    await cache.put(HELLO.content)
    await cache.flush().catch(() => {})
    nearStore.pieces.delete(HELLO.digest.key)
    far.heal()
    await expect(cache.flush()).rejects.toMatchObject({ code: 'data-loss', digest: HELLO.digest })
  })

  it('stops waiting when the signal fires', async () => {
    const { cache, far } = back()
    const opened = deferred<void>()
    far.gate = opened.promise
    await cache.put(HELLO.content)
    const controller = new AbortController()
    const reason = new Error('not wanted any more')
    const flushing = cache.flush({ signal: controller.signal })
    controller.abort(reason)
    await expect(flushing).rejects.toBe(reason)
    opened.resolve()
    await cache.close()
  })

  it('fails when the near side does not take it', async () => {
    const { cache, near, far } = back()
    near.fail('storage')
    await expect(cache.put(HELLO.content)).rejects.toMatchObject({ code: 'storage' })
    await expect(writeBlob(cache, HELLO.content)).rejects.toMatchObject({ code: 'storage' })
    await cache.close()
    expect(far.total).toBe(0)
  })
})
