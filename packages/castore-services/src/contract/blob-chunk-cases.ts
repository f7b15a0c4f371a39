import { B3Digest } from '@neve/castore-model'
import { expect, it } from 'vitest'
import type { BlobService } from '../blob-service.js'
import { BLOB_A, BLOB_B, randomBlob, readBlob, sameBytes, writeBlob } from './blob-fixtures.js'

/** What a chunk list tells (spec 02 section 2). */
export function blobChunkCases(service: () => BlobService, chunkSize: number | undefined): void {
  const large = randomBlob(Math.max(5 * 1024 * 1024, 2 * (chunkSize ?? 0) + 1), 7)

  it('02#12 reports blobs that are not chunked with an empty list', async () => {
    await writeBlob(service(), BLOB_A.content)
    expect(await service().chunks(BLOB_A.digest)).toEqual([])
  })

  it.each([
    ['random bytes', large],
    ['repeating bytes', BLOB_B],
  ])(
    '02#12 02#26 reports chunks that make up the blob, and has each of them: %s',
    async (_name, { content, digest }) => {
      await writeBlob(service(), content, 100_000)
      const chunks = await service().chunks(digest)
      if (chunks === undefined) throw new Error('expected a list, got undefined')
      expect(chunks.length).not.toBe(1)
      if (chunkSize !== undefined && content.length > 2 * chunkSize) expect(chunks.length).toBeGreaterThan(1)
      let start = 0
      for (const { digest: chunk, size } of chunks) {
        expect(size).toBeGreaterThan(0n)
        const piece = content.subarray(start, start + Number(size))
        start += Number(size)
        expect(B3Digest.of(piece).equals(chunk)).toBe(true)
        expect(await service().has(chunk)).toBe(true)
        expect(await service().chunks(chunk)).toEqual([])
        expect(sameBytes(await service().get(chunk, { maxSize: piece.length }), piece)).toBe(true)
        expect(sameBytes(await readBlob(service(), chunk), piece)).toBe(true)
      }
      if (chunks.length > 0) expect(start).toBe(content.length)
    },
  )

  it('gives the same list for a blob that was put whole', async () => {
    await writeBlob(service(), large.content, 33_333)
    const chunks = await service().chunks(large.digest)
    await service().put(large.content)
    expect(await service().chunks(large.digest)).toEqual(chunks)
  })
}
