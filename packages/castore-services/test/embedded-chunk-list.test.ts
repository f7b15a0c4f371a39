import { B3Digest } from '@neve/castore-model'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ChunkTable } from '../src/blob/chunk-table.js'
import {
  chunkListSize,
  decodeChunkList,
  encodeChunkList,
  ListedChunks,
} from '../src/blob/embedded-chunk-list.js'
import { DataLossError } from '../src/errors.js'

const BLOB = B3Digest.of(Buffer.from('blob'))

describe('a stored chunk list, used as it is stored', () => {
  it('says what a table of its chunks says', () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 600_000 }), { minLength: 1, maxLength: 40 })
    fc.assert(
      fc.property(sizes, fc.double({ min: 0, max: 1, noNaN: true }), (sizes, where) => {
        const list = encodeChunkList(
          sizes.map((size, index) => ({ digest: B3Digest.of(Buffer.from(`${index}`)).bytes, size })),
        )
        const listed = new ListedChunks(BLOB, list, 'test')
        const table = new ChunkTable(BLOB, decodeChunkList(BLOB, list, 'test'), 'test')
        expect([listed.size, listed.count]).toEqual([table.size, table.count])
        expect(chunkListSize(BLOB, list, 'test')).toBe(table.size)
        const position = BigInt(Math.floor(Number(table.size) * where))
        for (const at of [-1n, 0n, position, table.size - 1n, table.size]) {
          expect(listed.indexFor(at)).toBe(table.indexFor(at))
        }
        for (let index = 0; index < table.count; index++) {
          const [ours, theirs] = [listed.at(index), table.at(index)]
          expect([ours.start, ours.size, ours.digest.toHex()]).toEqual([
            theirs.start,
            theirs.size,
            theirs.digest.toHex(),
          ])
        }
      }),
    )
  })

  it.each([0, 1, 35, 37])('of %i bytes is damage', (length) => {
    expect(() => new ListedChunks(BLOB, Buffer.alloc(length, 1), 'test')).toThrow(DataLossError)
    expect(() => chunkListSize(BLOB, Buffer.alloc(length, 1), 'test')).toThrow(DataLossError)
  })

  it('with a chunk that has no bytes, or more than 2 GiB, is damage', () => {
    for (const size of [0, 2 ** 31]) {
      const list = encodeChunkList([{ digest: BLOB.bytes, size }])
      expect(() => new ListedChunks(BLOB, list, 'test')).toThrow(`chunk #0 has size ${size}`)
    }
  })
})
