import { B3Digest } from '@neve/castore-model'
import { expect, it } from 'vitest'
import { blobStream } from '../blob/stream.js'
import type { BlobService } from '../blob-service.js'
import {
  BLOB_B,
  type BlobFixture,
  collectBytes,
  randomBlob,
  readBlob,
  sameBytes,
  writeBlob,
} from './blob-fixtures.js'

const HUNDRED = Array.from({ length: 100 }, (_, index) => index)

/** A hundred different blobs, from nothing to some 100 KiB. */
const BLOBS: readonly BlobFixture[] = HUNDRED.map((index) => randomBlob(index * index * 11, 100 + index))

async function all<T>(work: (index: number) => Promise<T>): Promise<T[]> {
  return Promise.all(HUNDRED.map(work))
}

/** Every call, a hundred times at once. */
export function blobConcurrencyCases(service: () => BlobService): void {
  it('writes different blobs, and reads them', async () => {
    const digests = await all((index) => writeBlob(service(), BLOBS[index]!.content, 10_000))
    expect(digests.map(String)).toEqual(BLOBS.map(({ digest }) => digest.toString()))
    const found = await all((index) => readBlob(service(), BLOBS[index]!.digest))
    expect(found.every((content, index) => sameBytes(content, BLOBS[index]!.content))).toBe(true)
  })

  it('writes the same blob', async () => {
    const digests = await all((index) => writeBlob(service(), BLOB_B.content, 10_000 + index))
    expect(digests.every((digest) => digest.equals(BLOB_B.digest))).toBe(true)
    expect(sameBytes(await readBlob(service(), BLOB_B.digest), BLOB_B.content)).toBe(true)
  })

  it('puts different blobs, and gets them', async () => {
    const digests = await all((index) => service().put(BLOBS[index]!.content))
    expect(digests.map(String)).toEqual(BLOBS.map(({ digest }) => digest.toString()))
    const found = await all((index) => service().get(BLOBS[index]!.digest))
    expect(found.every((content, index) => sameBytes(content, BLOBS[index]!.content))).toBe(true)
  })

  it('puts and gets the same blob', async () => {
    const digests = await all(() => service().put(BLOB_B.content))
    expect(digests.every((digest) => digest.equals(BLOB_B.digest))).toBe(true)
    const found = await all(() => service().get(BLOB_B.digest))
    expect(found.every((content) => sameBytes(content, BLOB_B.content))).toBe(true)
  })

  it('answers has, chunks and open', async () => {
    await service().put(BLOB_B.content)
    const present = await all((index) => service().has(index % 2 ? BLOB_B.digest : absent(index)))
    expect(present).toEqual(HUNDRED.map((index) => index % 2 === 1))
    const lists = await all((index) => service().chunks(index % 2 ? BLOB_B.digest : absent(index)))
    expect(lists.map((list) => list !== undefined)).toEqual(present)
    const readers = await all((index) => service().open(index % 2 ? BLOB_B.digest : absent(index)))
    expect(readers.map((reader) => reader?.size)).toEqual(
      HUNDRED.map((index) => (index % 2 ? BigInt(BLOB_B.content.length) : undefined)),
    )
    await Promise.all(readers.map((reader) => reader?.close()))
  })

  it('reads through one reader', async () => {
    const { content, digest } = randomBlob(4 * 1024 * 1024, 10)
    await service().put(content)
    await using reader = await service().open(digest)
    const step = Math.floor(content.length / 100)
    const found = await all((index) => reader!.readAt(BigInt(index * step), step))
    expect(
      found.every((bytes, index) => sameBytes(bytes, content.subarray(index * step, (index + 1) * step))),
    ).toBe(true)
    const streams = await all(async (index) => {
      const start = content.length - index * 1000
      return collectBytes(blobStream(reader!, { start: BigInt(start) }))
    })
    expect(
      streams.every((bytes, index) => sameBytes(bytes, content.subarray(content.length - index * 1000))),
    ).toBe(true)
  })

  it('aborts some writers and finishes others', async () => {
    await all(async (index) => {
      const writer = service().openWrite()
      await writer.write(BLOBS[index]!.content)
      if (index % 2) await writer.close()
      else await writer.abort()
    })
    const present = await all((index) => service().has(BLOBS[index]!.digest))
    // Number 0 is the empty blob, which is always there.
    expect(present).toEqual(HUNDRED.map((index) => index % 2 === 1 || index === 0))
  })

  it('cancels some calls and finishes others', async () => {
    await service().put(BLOB_B.content)
    const reason = new Error('not wanted any more')
    const outcomes = await all(async (index) => {
      const controller = new AbortController()
      const { signal } = controller
      const calls = [
        () => service().has(BLOB_B.digest, { signal }),
        () => service().chunks(BLOB_B.digest, { signal }),
        () => service().get(BLOB_B.digest, { signal }),
        () => service().put(BLOBS[index]!.content, { signal }),
        async () => {
          const reader = await service().open(BLOB_B.digest, { signal })
          await reader?.close()
        },
      ]
      const running = calls[index % 5]!() as Promise<unknown>
      if (index % 10 < 5) controller.abort(reason)
      return running.then(
        () => 'done',
        (error: unknown) => error,
      )
    })
    for (const [index, outcome] of outcomes.entries()) {
      expect([index % 10 < 5 ? reason : 'done', 'done']).toContain(outcome)
    }
    expect(sameBytes(await service().get(BLOB_B.digest), BLOB_B.content)).toBe(true)
  })
}

function absent(index: number): B3Digest {
  return B3Digest.from(new Uint8Array(32).fill(index))
}
