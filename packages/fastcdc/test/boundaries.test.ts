import { Chunker, type ChunkSizes, Cutter, chunkSizes } from '@neve/fastcdc'
import { describe, expect, test } from 'vitest'
import { blake3Hex, blobB, pseudoRandom } from './fixtures.js'

const defaults = chunkSizes()
const small = chunkSizes(1024)
const odd: ChunkSizes = { min: 500, average: 1000, max: 2000 }

function cut(data: Uint8Array, sizes: ChunkSizes): Uint8Array[] {
  const cutter = new Cutter(sizes)
  const chunks: Uint8Array[] = []
  for (let start = 0; start < data.length; ) {
    const length = cutter.cut(data, start, data.length, true)
    chunks.push(data.subarray(start, start + length))
    start += length
  }
  return chunks
}

function lengths(chunks: readonly Uint8Array[]): number[] {
  return chunks.map((chunk) => chunk.length)
}

describe('boundaries of spec 02 section 17.3', () => {
  test('the pseudo-random input is the one that is meant', () => {
    expect(Buffer.from(pseudoRandom(4)).toString('hex')).toBe('df3f6198')
    expect(blake3Hex(pseudoRandom(4194304))).toBe(
      '45950d78627a19bc459fe5eec078eb820298ca44c027b12686662c9384607c59',
    )
    expect(blake3Hex(pseudoRandom(4099))).toBe(
      '031d70a3c27331a7ca481d27aabfc04cc1c6fad9e383a3bab9de617995a8ab37',
    )
  })

  test('02#12 BLOB_B, default sizes', () => {
    const chunks = cut(blobB, defaults)
    expect(lengths(chunks)).toEqual([524288, 520192])
    expect(chunks.map(blake3Hex)).toEqual([
      '79445f0f1420045f8be59af5f7915cfd9182c978ece11a21913641e457fa9794',
      '832c7fbdbe9a537273cfe0299195a09ba7d08b6da842ab25fea373d739e9c5ac',
    ])
  })

  test('02#12 BLOB_B, 512/1024/2048', () => {
    const chunks = cut(blobB, small)
    expect(lengths(chunks)).toEqual([1130, ...Array(818).fill(1275), 400])
    expect([...new Set(chunks.map(blake3Hex))]).toEqual([
      '0abfc39ca21da1f566395b17434064716c0df63d6fe93c961bc2e1718af7f5b3',
      '6e046c25f016f4fe86a1663c5bff6f97cd8617411ca9a65024e220fcc1bb0592',
      '00d7d8c60c21348feaa8a9ecf506f689b9eb5212ebb3f2aeece0567ed3cdb07c',
    ])
  })

  test('a MiB of zeros, default sizes and 500/1000/2000', () => {
    const zeros = new Uint8Array(1048576)
    const chunks = cut(zeros, defaults)
    expect(lengths(chunks)).toEqual([524288, 524288])
    expect(blake3Hex(chunks[0]!)).toBe('934d6b7aea5a339a9e858430cca7ac455d3537e70fd2b302931cc93b25e1df9a')
    expect(lengths(cut(zeros, odd))).toEqual([...Array(524).fill(2000), 576])
  })

  test('R(4194304), default sizes', () => {
    const chunks = cut(pseudoRandom(4194304), defaults)
    expect(lengths(chunks)).toEqual([
      289018, 242244, 401660, 441089, 524288, 238560, 163753, 201967, 524288, 293723, 278928, 296424, 298362,
    ])
    expect(blake3Hex(chunks[0]!)).toBe('ebd478df74fbb0c17e3631abb439140fb553a358a778be7d75e4fec5757eaea2')
    expect(blake3Hex(chunks.at(-1)!)).toBe('4b7abdcd789bc5f8cac54a9a95b61efa50a33bfbee3b69f6dfbef20f1d4428e9')
  })

  test('R(4194304), 512/1024/2048', () => {
    const chunks = cut(pseudoRandom(4194304), small)
    expect(chunks.length).toBe(3213)
    expect(lengths(chunks).slice(0, 8)).toEqual([1835, 1532, 1054, 2048, 1555, 1142, 876, 1328])
    expect(chunks.at(-1)!.length).toBe(744)
    expect(new Set(chunks.map(blake3Hex)).size).toBe(3213)
  })

  test('R(4194304), 256/512/1024', () => {
    const chunks = cut(pseudoRandom(4194304), chunkSizes(512))
    expect(chunks.length).toBe(6415)
    expect(lengths(chunks).slice(0, 8)).toEqual([739, 1024, 613, 599, 631, 387, 781, 541])
    expect(chunks.at(-1)!.length).toBe(511)
  })

  test('R(4194304), 1048576/2097152/4194304', () => {
    expect(lengths(cut(pseudoRandom(4194304), chunkSizes(2097152)))).toEqual([2136859, 2057445])
  })

  test('R(1048576), default sizes', () => {
    expect(lengths(cut(pseudoRandom(1048576), defaults))).toEqual([289018, 242244, 401660, 115654])
  })

  test('R(4099), 512/1024/2048 and 500/1000/2000', () => {
    const chunks = cut(pseudoRandom(4099), small)
    expect(lengths(chunks)).toEqual([1835, 1532, 732])
    expect(chunks.map(blake3Hex)).toEqual([
      '794811800d174ba6122c72fd0d504b1e3909f3230a3e4fcf2b591633cb6112c0',
      '7d35c2dc7a27ad711cb5a000ea897bb2d8f2e7938b7e8e62d9f9a846d8039518',
      'e1e7cda31706fcd32f9d65a9bc65b8899cb9918490e669fe3862abb99749e802',
    ])
    expect(lengths(cut(pseudoRandom(4099), odd))).toEqual([1835, 1532, 732])
  })

  test('R(513), R(512) and BLOB_A are one chunk with 512/1024/2048', () => {
    for (const data of [pseudoRandom(513), pseudoRandom(512), Uint8Array.of(0, 1)]) {
      expect(lengths(cut(data, small))).toEqual([data.length])
    }
  })

  test('empty input gives no chunks, whatever the sizes', () => {
    for (const sizes of [defaults, small, odd]) {
      expect(cut(new Uint8Array(0), sizes)).toEqual([])
      const chunker = new Chunker(sizes)
      expect(chunker.push(new Uint8Array(0))).toEqual([])
      expect(chunker.finish()).toEqual([])
    }
  })
})
