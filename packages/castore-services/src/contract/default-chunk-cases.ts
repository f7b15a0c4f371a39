import { createHash } from 'node:crypto'
import { expect, it } from 'vitest'
import type { BlobService } from '../blob-service.js'
import { BLOB_B, writeBlob } from './blob-fixtures.js'

/** Bytes that anybody can make: SHA-256 of the numbers 0, 1, 2, … as big-endian u32 (spec 02 section 17.3). */
function counted(length: number): Uint8Array {
  const bytes = Buffer.alloc(Math.ceil(length / 32) * 32)
  const number = Buffer.alloc(4)
  for (let at = 0; at < length; at += 32) {
    number.writeUInt32BE(at / 32)
    createHash('sha256').update(number).digest().copy(bytes, at)
  }
  return bytes.subarray(0, length)
}

const COUNTED_SIZES = [
  289018, 242244, 401660, 441089, 524288, 238560, 163753, 201967, 524288, 293723, 278928, 296424, 298362,
]

/** Chunks as the reference cuts them by default: lists that were computed independently (spec 02 section 17.3). */
export function defaultChunkCases(service: () => BlobService): void {
  it.each([
    [
      'BLOB_B',
      BLOB_B.content,
      [524288, 520192],
      [
        '79445f0f1420045f8be59af5f7915cfd9182c978ece11a21913641e457fa9794',
        '832c7fbdbe9a537273cfe0299195a09ba7d08b6da842ab25fea373d739e9c5ac',
      ],
    ],
    [
      '1 MiB of zeros',
      new Uint8Array(1024 * 1024),
      [524288, 524288],
      ['934d6b7aea5a339a9e858430cca7ac455d3537e70fd2b302931cc93b25e1df9a'],
    ],
    [
      '4 MiB',
      counted(4 * 1024 * 1024),
      COUNTED_SIZES,
      ['ebd478df74fbb0c17e3631abb439140fb553a358a778be7d75e4fec5757eaea2'],
    ],
  ])('02#26 cuts %s where the reference does', async (_name, content, sizes, firstDigests) => {
    const digest = await writeBlob(service(), content, 100_000)
    const chunks = await service().chunks(digest)
    expect(chunks?.map(({ size }) => Number(size))).toEqual(sizes)
    const digests = chunks!.slice(0, firstDigests.length).map((chunk) => chunk.digest.toHex())
    expect(digests).toEqual(firstDigests)
  })
}
