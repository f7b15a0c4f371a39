import { B3Digest } from '@neve/castore-model'
import { expect, it } from 'vitest'
import { BlobCursor } from '../blob/cursor.js'
import { blobStream } from '../blob/stream.js'
import type { BlobReader, BlobService } from '../blob-service.js'
import {
  BLOB_A,
  BLOB_B,
  collectBytes,
  HELLO,
  randomBlob,
  readBlob,
  sameBytes,
  writeBlob,
} from './blob-fixtures.js'
import { SeededRandom } from './random.js'

const LARGE = randomBlob(5 * 1024 * 1024 + 17, 1)

async function opened(service: BlobService, digest: B3Digest): Promise<BlobReader> {
  const reader = await service.open(digest)
  if (reader === undefined) throw new Error(`expected blob ${digest} to be there, got undefined`)
  return reader
}

/** What a service answers about blobs that it has and has not (spec 02 section 18.1). */
export function blobReadCases(service: () => BlobService): void {
  it('02#1 02#2 02#3 answers for an absent blob without an error', async () => {
    expect(await service().has(BLOB_A.digest)).toBe(false)
    expect(await service().chunks(BLOB_A.digest)).toBeUndefined()
    expect(await service().open(BLOB_A.digest)).toBeUndefined()
    expect(await service().get(BLOB_A.digest)).toBeUndefined()
  })

  it('always has the empty blob', async () => {
    expect(await service().has(B3Digest.EMPTY)).toBe(true)
    expect(await service().chunks(B3Digest.EMPTY)).toEqual([])
    expect(await service().get(B3Digest.EMPTY)).toHaveLength(0)
    expect(await service().get(B3Digest.EMPTY, { maxSize: 0 })).toHaveLength(0)
    await using reader = await opened(service(), B3Digest.EMPTY)
    expect(reader.size).toBe(0n)
    expect(await reader.readAt(0n, 10)).toHaveLength(0)
    expect(await collectBytes(blobStream(reader))).toHaveLength(0)
  })

  it.each([
    ['BLOB_A', BLOB_A],
    ['BLOB_B', BLOB_B],
    ['HELLO', HELLO],
    ['5 MiB of random bytes', LARGE],
  ])('02#4 gives %s back as it was written', async (_name, { content, digest }) => {
    expect((await writeBlob(service(), content, 65536)).toString()).toBe(digest.toString())
    expect(await service().has(digest)).toBe(true)
    await using reader = await opened(service(), digest)
    expect(reader.size).toBe(BigInt(content.length))
    expect(sameBytes(await collectBytes(blobStream(reader)), content)).toBe(true)
  })

  it('10#5 gives the same whatever size is expected', async () => {
    for (const { content, digest } of [HELLO, BLOB_B]) {
      for (const sizeHint of [0n, 1n, BigInt(content.length), 2n ** 40n]) {
        expect(await service().open(BLOB_A.digest, { sizeHint })).toBeUndefined()
        expect(await service().get(BLOB_A.digest, { sizeHint })).toBeUndefined()
      }
      await service().put(content)
      for (const sizeHint of [0n, 1n, BigInt(content.length), 2n ** 40n]) {
        await using reader = (await service().open(digest, { sizeHint }))!
        expect(reader.size).toBe(BigInt(content.length))
        expect(sameBytes(await collectBytes(blobStream(reader)), content)).toBe(true)
        expect(sameBytes(await service().get(digest, { sizeHint }), content)).toBe(true)
      }
    }
  })

  it('02#5 02#8 02#10 seeks and reads in turn', async () => {
    await writeBlob(service(), BLOB_B.content)
    await using reader = await opened(service(), BLOB_B.digest)
    const cursor = new BlobCursor(reader)
    const hex = async (length: number) => Buffer.from(await cursor.read(length)).toString('hex')
    expect(await hex(10)).toBe('00010203040506070809')
    expect(cursor.seek(10n)).toBe(10n)
    expect(await hex(10)).toBe('0a0b0c0d0e0f10111213')
    expect(cursor.seek(25n)).toBe(25n)
    expect(await hex(10)).toBe('191a1b1c1d1e1f202122')
    expect(cursor.seek(12345n, 'current')).toBe(12380n)
    expect(await hex(10)).toBe('8c8d8e8f909192939495')
    expect(cursor.seek(1044480n)).toBe(1044480n)
    expect(await hex(10)).toBe('')
    expect(() => cursor.seek(1044481n)).toThrow(expect.objectContaining({ code: 'invalid-input' }))
    expect(cursor.seek(-1n, 'end')).toBe(1044479n)
    expect(await hex(10)).toBe('fe')
    expect(await hex(10)).toBe('')
  })

  it('reads any range of a large blob', async () => {
    const { content, digest } = LARGE
    await service().put(content)
    await using reader = await opened(service(), digest)
    const random = new SeededRandom(2)
    for (let round = 0; round < 200; round++) {
      const offset = random.between(0, content.length + 1)
      const length = random.between(0, round % 10 === 0 ? 2 * 1024 * 1024 : 300)
      const bytes = await reader.readAt(BigInt(offset), length)
      expect(
        sameBytes(bytes, content.subarray(offset, offset + length)),
        `${length} bytes at ${offset}`,
      ).toBe(true)
    }
  })

  it('streams any range of a large blob', async () => {
    const { content, digest } = LARGE
    await service().put(content)
    await using reader = await opened(service(), digest)
    const random = new SeededRandom(3)
    for (let round = 0; round < 20; round++) {
      const start = random.between(0, content.length + 1)
      const end = round % 5 === 0 ? start : random.between(start, content.length + 1)
      const bytes = await collectBytes(blobStream(reader, { start: BigInt(start), end: BigInt(end) }))
      expect(sameBytes(bytes, content.subarray(start, end)), `bytes ${start} to ${end}`).toBe(true)
    }
  })

  it('can stop in the middle of a stream and begin again', async () => {
    await service().put(LARGE.content)
    await using reader = await opened(service(), LARGE.digest)
    for await (const piece of blobStream(reader)) {
      expect(piece.length).toBeGreaterThan(0)
      break
    }
    expect(sameBytes(await collectBytes(blobStream(reader)), LARGE.content)).toBe(true)
  })

  it.each([
    ['an offset below 0', -1n, 1],
    ['an offset after the end', BigInt(BLOB_B.content.length) + 1n, 1],
    ['an offset beyond 2^64', 2n ** 64n, 1],
    ['a length below 0', 0n, -1],
    ['half a byte', 0n, 0.5],
    ['a length that is no number', 0n, Number.NaN],
    ['a length without end', 0n, Number.POSITIVE_INFINITY],
  ])('refuses to read at %s', async (_name, offset, length) => {
    await service().put(BLOB_B.content)
    await using reader = await opened(service(), BLOB_B.digest)
    await expect(reader.readAt(offset, length)).rejects.toMatchObject({ code: 'invalid-input' })
    expect(await reader.readAt(0n, 2)).toHaveLength(2)
  })

  it.each([
    ['begins below 0', -1n, 1n],
    ['ends after the end', 0n, BigInt(BLOB_B.content.length) + 1n],
    ['ends before it begins', 2n, 1n],
  ])('refuses to stream a range that %s', async (_name, start, end) => {
    await service().put(BLOB_B.content)
    await using reader = await opened(service(), BLOB_B.digest)
    expect(() => blobStream(reader, { start, end })).toThrow(
      expect.objectContaining({ code: 'invalid-input' }),
    )
  })

  it('closes a reader without touching others, and for good', async () => {
    await service().put(BLOB_B.content)
    const reader = await opened(service(), BLOB_B.digest)
    await using other = await opened(service(), BLOB_B.digest)
    await reader.close()
    await reader.close()
    await expect(reader.readAt(0n, 1)).rejects.toMatchObject({ code: 'closed' })
    expect(sameBytes(await other.readAt(3n, 2), Uint8Array.of(3, 4))).toBe(true)
  })

  it('gets a blob that is not larger than the limit', async () => {
    await service().put(HELLO.content)
    expect(sameBytes(await service().get(HELLO.digest), HELLO.content)).toBe(true)
    expect(sameBytes(await service().get(HELLO.digest, { maxSize: 12 }), HELLO.content)).toBe(true)
    await expect(service().get(HELLO.digest, { maxSize: 11 })).rejects.toMatchObject({
      code: 'too-large',
      size: 12n,
      limit: 11,
    })
  })

  it('gets blobs below 1 MiB unless told otherwise', async () => {
    const [below, at] = [randomBlob(1024 * 1024 - 1, 4), randomBlob(1024 * 1024, 5)]
    await writeBlob(service(), below.content)
    await writeBlob(service(), at.content)
    expect(sameBytes(await service().get(below.digest), below.content)).toBe(true)
    await expect(service().get(at.digest)).rejects.toMatchObject({ code: 'too-large' })
    expect(sameBytes(await service().get(at.digest, { maxSize: 1024 * 1024 }), at.content)).toBe(true)
  })

  it('reads by either way what was stored by the other', async () => {
    await service().put(BLOB_A.content)
    await writeBlob(service(), HELLO.content)
    expect(sameBytes(await readBlob(service(), BLOB_A.digest), BLOB_A.content)).toBe(true)
    expect(sameBytes(await service().get(HELLO.digest), HELLO.content)).toBe(true)
  })
}
