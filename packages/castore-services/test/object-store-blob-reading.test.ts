import { B3Digest, encodeStatBlobResponse } from '@neve/castore-model'
import { blobStream } from '@neve/castore-services'
import { ObjectStoreBlobService } from '@neve/castore-services/blob/object-store'
import { MemoryObjectStore } from '@neve/castore-services/object-store'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { ChunkFrameError, expandChunk, framedChunk } from '../src/blob/chunk-frames.js'
import { objectKey } from '../src/blob/object-layout.js'
import {
  BLOB_A,
  BLOB_B,
  collectBytes,
  HELLO,
  randomBlob,
  readBlob,
  sameBytes,
} from '../src/contract/blob-fixtures.js'
import { WatchedStore } from './object-store-fixture.js'

const LARGE = randomBlob(3 * 1024 * 1024 + 5, 22)

function watched(options: { readAhead?: number; maxChunkSize?: number } = {}) {
  const store = new WatchedStore(new MemoryObjectStore())
  return { store, blobs: new ObjectStoreBlobService({ store, ...options }) }
}

it('takes lists of one chunk, and chunks where newest Snix writes them', async () => {
  const { store, blobs } = watched()
  await store.put(objectKey('chunk', HELLO.digest), framedChunk(HELLO.content))
  await store.put(
    objectKey('blobs', HELLO.digest),
    encodeStatBlobResponse([{ digest: HELLO.digest, size: 12n }]),
  )
  // Without a list, as any chunk.
  await store.put(objectKey('chunk', BLOB_A.digest), framedChunk(BLOB_A.content))
  for (const { content, digest } of [HELLO, BLOB_A]) {
    expect(await blobs.has(digest)).toBe(true)
    expect(await blobs.chunks(digest)).toEqual([])
    expect(sameBytes(await blobs.get(digest), content)).toBe(true)
    expect(sameBytes(await readBlob(blobs, digest), content)).toBe(true)
  }
  // All chunks of a list in either folder.
  const whole = Buffer.concat([HELLO.content, BLOB_A.content])
  const list = [HELLO, BLOB_A].map(({ content, digest }) => ({ digest, size: BigInt(content.length) }))
  await store.put(objectKey('chunks', BLOB_A.digest), framedChunk(BLOB_A.content))
  const digest = B3Digest.of(whole)
  await store.put(objectKey('blobs', digest), encodeStatBlobResponse(list))
  expect(sameBytes(await readBlob(blobs, digest), whole)).toBe(true)
  // A list of one entry that is stored already says what ours says.
  const stored = await store.get(objectKey('blobs', HELLO.digest))
  store.calls.length = 0
  await blobs.put(HELLO.content)
  expect(store.count('put', 'blobs/')).toBe(0)
  expect(await store.get(objectKey('blobs', HELLO.digest))).toEqual(stored)
})

it('reads chunks of any zstd', async () => {
  const { store, blobs } = watched()
  const half = HELLO.content.length >> 1
  const parts = [HELLO.content.subarray(0, half), new Uint8Array(0), HELLO.content.subarray(half)]
  await store.put(objectKey('chunks', HELLO.digest), Buffer.concat(parts.map(framedChunk)))
  expect(sameBytes(await blobs.get(HELLO.digest), HELLO.content)).toBe(true)
})

it('names the blob whose only chunk is missing', async () => {
  const { store, blobs } = watched()
  await store.put(objectKey('blobs', HELLO.digest), new Uint8Array(0))
  const loss = { code: 'data-loss', digest: HELLO.digest, backend: 'objectstore+memory' }
  await expect(blobs.open(HELLO.digest)).rejects.toMatchObject(loss)
  await expect(blobs.get(HELLO.digest)).rejects.toMatchObject(loss)
})

it('delivers what comes before a missing chunk', async () => {
  const { store, blobs } = watched()
  await blobs.put(LARGE.content)
  const chunks = (await blobs.chunks(LARGE.digest))!
  await store.inner.delete(objectKey('chunks', chunks[3]!.digest))
  await using reader = await blobs.open(LARGE.digest)
  let got = 0
  const consume = async () => {
    for await (const piece of blobStream(reader!)) got += piece.length
  }
  await expect(consume()).rejects.toMatchObject({ code: 'data-loss', digest: chunks[3]!.digest })
  expect(BigInt(got)).toBe(chunks[0]!.size + chunks[1]!.size + chunks[2]!.size)
})

it('fetches a chunk once for all who want it now, and as many ahead as it may', async () => {
  const { store, blobs } = watched({ readAhead: 3 })
  await blobs.put(LARGE.content)
  const chunks = (await blobs.chunks(LARGE.digest))!
  store.calls.length = 0
  store.most = 0
  store.before = () => new Promise(setImmediate)
  const readers = await Promise.all(Array.from({ length: 10 }, () => blobs.open(LARGE.digest)))
  const found = await Promise.all(readers.map((reader) => collectBytes(blobStream(reader!))))
  expect(found.every((content) => sameBytes(content, LARGE.content))).toBe(true)
  expect(store.most).toBe(3)
  expect(store.count('get', 'chunks/')).toBe(chunks.length)
  // The list is at hand from the write.
  expect(store.calls).toHaveLength(chunks.length)
})

it('asks for the chunk first, and for the list only when there is none', async () => {
  const { store, blobs } = watched()
  await blobs.put(HELLO.content)
  store.calls.length = 0
  await blobs.get(HELLO.digest)
  expect(store.calls).toEqual([{ call: 'get', key: objectKey('chunks', HELLO.digest) }])
  store.calls.length = 0
  expect(await blobs.get(BLOB_B.digest)).toBeUndefined()
  expect(store.calls.map(({ key }) => key.slice(0, key.indexOf('/')))).toEqual(['chunks', 'blobs', 'chunk'])
})

it('10#5 asks for the list first when the blob is expected to be large', async () => {
  const { store, blobs } = watched()
  await blobs.put(LARGE.content)
  const asked = async (sizeHint: bigint | undefined) => {
    const reader = new ObjectStoreBlobService({ store })
    store.calls.length = 0
    await (await reader.open(LARGE.digest, { sizeHint }))?.close()
    return store.calls.map(({ key }) => key.slice(0, key.indexOf('/')))
  }
  expect(await asked(undefined)).toEqual(['chunks', 'blobs'])
  expect(await asked(BigInt(LARGE.content.length))).toEqual(['blobs'])
})

it('expands no chunk beyond what it may have', async () => {
  const { store, blobs } = watched({ maxChunkSize: 1_000_000 })
  const zeros = new Uint8Array(1_000_001)
  const digest = B3Digest.of(zeros)
  await store.put(objectKey('chunks', digest), framedChunk(zeros))
  await expect(blobs.get(digest, { maxSize: 2 ** 30 })).rejects.toMatchObject({ code: 'data-loss', digest })
  await expect(blobs.get(HELLO.digest)).resolves.toBeUndefined()
})

it('is closed once it is', async () => {
  const { blobs } = watched()
  await blobs.put(LARGE.content)
  const writer = blobs.openWrite()
  await blobs.close()
  await blobs.close()
  await expect(blobs.get(HELLO.digest)).rejects.toMatchObject({ code: 'closed' })
  await expect(blobs.put(HELLO.content)).rejects.toMatchObject({ code: 'closed' })
  await expect(writer.write(LARGE.content)).rejects.toBeInstanceOf(Error)
})

it('expands what was framed, and nothing else', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 5000 }), fc.integer({ min: 0, max: 6000 }), (content, limit) => {
      const framed = framedChunk(content)
      if (content.length <= limit) expect(sameBytes(expandChunk(framed, limit), content)).toBe(true)
      else expect(() => expandChunk(framed, limit)).toThrow(ChunkFrameError)
    }),
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (noise, magic) => {
      const stored = magic ? Buffer.concat([Buffer.from('28b52ffd', 'hex'), noise]) : noise
      try {
        expect(expandChunk(stored, 1000).length).toBeLessThanOrEqual(1000)
      } catch (error) {
        expect(error).toBeInstanceOf(ChunkFrameError)
      }
    }),
    { numRuns: 2000 },
  )
})
