import { Chunker, type ChunkSizes, Cutter } from '@neve/fastcdc'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { gearWords } from '../src/gear.js'
import { HalvesScanner } from '../src/halves-scanner.js'
import { cutMasks } from '../src/masks.js'
import { WasmScanner } from '../src/wasm-scanner.js'
import { webAssembly } from '../src/webassembly.js'
import { pseudoRandom } from './fixtures.js'
import { referenceCuts, referenceGear, referenceMask } from './reference.js'

const random = pseudoRandom(1 << 20)

const anySizes: fc.Arbitrary<ChunkSizes> = fc
  .tuple(
    fc.integer({ min: 64, max: 3000 }),
    fc.integer({ min: 256, max: 4000 }),
    fc.integer({ min: 1024, max: 9000 }),
  )
  .map((values) => values.sort((left, right) => left - right))
  .filter(([, average, max]) => average! >= 256 && max! >= 1024)
  .map(([min, average, max]) => ({ min: min!, average: average!, max: max! }))

/** Random bytes, one byte repeated, and short periods: the latter two keep the rolling hash in a cycle. */
const anyData: fc.Arbitrary<Uint8Array> = fc.oneof(
  fc
    .tuple(fc.nat(random.length - 40000), fc.nat(40000))
    .map(([start, length]) => random.subarray(start, start + length)),
  fc.tuple(fc.nat(255), fc.nat(20000)).map(([byte, length]) => new Uint8Array(length).fill(byte)),
  fc
    .tuple(fc.uint8Array({ minLength: 1, maxLength: 70 }), fc.nat(20000))
    .map(([period, length]) => Uint8Array.from({ length }, (_, i) => period[i % period.length]!)),
)

function cuts(data: Uint8Array, sizes: ChunkSizes): number[] {
  const cutter = new Cutter(sizes)
  const lengths: number[] = []
  for (let start = 0; start < data.length; start += lengths.at(-1)!) {
    lengths.push(cutter.cut(data, start, data.length, true))
  }
  return lengths
}

describe('equal to the rule as the specification states it', () => {
  test('the gear table is what MD5 makes it', () => {
    const words = gearWords()
    const entries = Array.from(
      { length: 256 },
      (_, byte) => (BigInt(words[2 * byte + 1]!) << 32n) | BigInt(words[2 * byte]!),
    )
    expect(entries).toEqual(referenceGear())
    expect(entries.slice(0, 3)).toEqual([0x3b5d3c7d207e37dcn, 0x784d68ba91123086n, 0xcd52880f882e7298n])
  })

  test('the masks, for every power of two and just where rounding goes the other way', () => {
    const joined = ({ low, high }: { low: number; high: number }) => (BigInt(high) << 32n) | BigInt(low)
    for (let bits = 8; bits <= 22; bits++) {
      const { strict, loose } = cutMasks(2 ** bits)
      expect(joined(strict)).toBe(referenceMask(bits + 1))
      expect(joined(loose)).toBe(referenceMask(bits - 1))
    }
    expect(joined(cutMasks(1448).strict)).toBe(referenceMask(11))
    expect(joined(cutMasks(1449).strict)).toBe(referenceMask(12))
  })

  test('random data, sizes and parameters', () => {
    fc.assert(
      fc.property(anyData, anySizes, (data, sizes) => {
        expect(cuts(data, sizes)).toEqual(referenceCuts(data, sizes.min, sizes.average, sizes.max))
      }),
      { numRuns: 150 },
    )
  })

  test('one byte repeated, for each of the 256', () => {
    const sizes = { min: 64, average: 256, max: 1024 }
    for (let byte = 0; byte < 256; byte++) {
      const data = new Uint8Array(2500).fill(byte)
      expect(cuts(data, sizes)).toEqual(referenceCuts(data, 64, 256, 1024))
    }
  })

  test('lengths on both sides of the minimum, the average and the maximum', () => {
    for (const sizes of [
      { min: 500, average: 1000, max: 2000 },
      { min: 501, average: 1001, max: 2001 },
    ]) {
      for (const edge of [sizes.min, sizes.average, sizes.max]) {
        for (let length = edge - 3; length <= edge + 3; length++) {
          for (const data of [random.subarray(7, 7 + length), new Uint8Array(length)]) {
            expect(cuts(data, sizes)).toEqual(referenceCuts(data, sizes.min, sizes.average, sizes.max))
          }
        }
      }
    }
  })
})

describe('the two scanners', () => {
  test('agree on every hit, over regions of all lengths, in pieces and across windows', () => {
    const wasm = new WasmScanner(webAssembly()!)
    const halves = new HalvesScanner()
    fc.assert(
      fc.property(
        fc.nat(random.length - 60000),
        fc.array(fc.nat(20000), { minLength: 1, maxLength: 3 }),
        fc.integer({ min: 8, max: 22 }),
        (start, pieces, bits) => {
          const { strict, loose } = cutMasks(2 ** bits)
          wasm.reset()
          halves.reset()
          let from = start
          for (const [index, length] of pieces.entries()) {
            const mask = index === 0 ? strict : loose
            const expected = halves.find(random, from, from + length, mask)
            expect(wasm.find(random, from, from + length, mask)).toBe(expected)
            if (expected >= 0) return
            from += length
          }
        },
      ),
      { numRuns: 300 },
    )
  })
})

describe('independence of how writes are split', () => {
  test('random splits give identical chunks', () => {
    fc.assert(
      fc.property(
        anyData,
        anySizes,
        fc.array(fc.oneof(fc.nat(20), fc.nat(700), fc.nat(12000)), { minLength: 1 }),
        (data, sizes, pieces) => {
          const chunker = new Chunker(sizes)
          const chunks: Uint8Array[] = []
          let offset = 0
          for (const length of pieces) {
            chunks.push(...chunker.push(data.subarray(offset, offset + length)))
            offset = Math.min(data.length, offset + length)
          }
          chunks.push(...chunker.push(data.subarray(offset)), ...chunker.finish())
          expect(chunks.map((chunk) => chunk.length)).toEqual(cuts(data, sizes))
          expect(Buffer.concat(chunks).equals(data)).toBe(true)
        },
      ),
      { numRuns: 300 },
    )
  })

  test('byte by byte', () => {
    const sizes = { min: 500, average: 1000, max: 2000 }
    const data = random.subarray(0, 20000)
    const chunker = new Chunker(sizes)
    const chunks: Uint8Array[] = []
    for (const byte of data) chunks.push(...chunker.push(Uint8Array.of(byte)))
    chunks.push(...chunker.finish())
    expect(chunks.map((chunk) => chunk.length)).toEqual(cuts(data, sizes))
    expect(Buffer.concat(chunks).equals(data)).toBe(true)
  })
})
