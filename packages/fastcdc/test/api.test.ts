import { Chunker, Cutter, chunkSizes, chunks, FastCdcError, type FastCdcErrorCode } from '@neve/fastcdc'
import { describe, expect, test } from 'vitest'
import { HalvesScanner } from '../src/halves-scanner.js'
import { createScanner } from '../src/scanner.js'
import { WasmScanner } from '../src/wasm-scanner.js'
import { pseudoRandom } from './fixtures.js'

function refusal(action: () => unknown): FastCdcError {
  try {
    action()
  } catch (error) {
    if (error instanceof FastCdcError) return error
    throw error
  }
  throw new Error('nothing was refused')
}

describe('sizes', () => {
  test('derive from the average: half and twice, default 256 KiB', () => {
    expect(chunkSizes()).toEqual({ min: 131072, average: 262144, max: 524288 })
    expect(chunkSizes(512)).toEqual({ min: 256, average: 512, max: 1024 })
    expect(chunkSizes(2097152)).toEqual({ min: 1048576, average: 2097152, max: 4194304 })
    expect(chunkSizes(1001)).toEqual({ min: 500, average: 1001, max: 2002 })
  })

  test.each([0, 511, 2097153, -1024, 1024.5, Number.NaN, Number.POSITIVE_INFINITY])(
    'an average of %s is refused',
    (average) => {
      const error = refusal(() => chunkSizes(average))
      expect(error.name).toBe('FastCdcError')
      expect(error.code).toBe('average-out-of-range')
      expect(error.message).toBe(
        `average chunk size: expected whole bytes within 512 and 2097152, got ${average}`,
      )
    },
  )

  test.each<[number, number, number, FastCdcErrorCode]>([
    [63, 256, 1024, 'minimum-out-of-range'],
    [1048577, 2097152, 4194304, 'minimum-out-of-range'],
    [64, 255, 1024, 'average-out-of-range'],
    [64, 4194305, 16777216, 'average-out-of-range'],
    [64, 256, 1023, 'maximum-out-of-range'],
    [64, 256, 16777217, 'maximum-out-of-range'],
    [64.5, 256, 1024, 'minimum-out-of-range'],
    [600, 500, 1024, 'sizes-out-of-order'],
    [600, 2000, 1024, 'sizes-out-of-order'],
  ])('%s/%s/%s is refused', (min, average, max, code) => {
    expect(refusal(() => new Cutter({ min, average, max })).code).toBe(code)
    expect(refusal(() => new Chunker({ min, average, max })).code).toBe(code)
  })

  test('the limits themselves are accepted', () => {
    expect(new Cutter({ min: 64, average: 256, max: 1024 }).sizes.min).toBe(64)
    expect(new Cutter({ min: 1048576, average: 4194304, max: 16777216 }).sizes.max).toBe(16777216)
  })
})

describe('Cutter', () => {
  const data = pseudoRandom(65536)
  const cutter = new Cutter(chunkSizes(1024))

  test('asks for more with 0 when fewer than max bytes are there and more may follow', () => {
    expect(cutter.cut(data, 0, 2047, false)).toBe(0)
    expect(cutter.cut(data, 0, 2048, false)).toBe(1835)
    expect(cutter.cut(data, 0, 0, true)).toBe(0)
  })

  test('keeps nothing between calls, nor between cutters', () => {
    const other = new Cutter(chunkSizes(4096))
    const expected = cutter.cut(data, 1835, data.length, true)
    other.cut(data, 0, data.length, true)
    cutter.cut(data, 5, 4000, true)
    expect(cutter.cut(data, 1835, data.length, true)).toBe(expected)
    expect(expected).toBe(1532)
  })

  test.each([
    [-1, 10],
    [10, 9],
    [0, 65537],
    [Number.NaN, 5],
  ])('the range %s, %s is refused', (start, end) => {
    expect(refusal(() => cutter.cut(data, start, end, true)).code).toBe('invalid-range')
  })
})

describe('Chunker', () => {
  const cutAll = (data: Uint8Array): number[] => {
    const chunker = new Chunker(chunkSizes(1024))
    return [...chunker.push(data), ...chunker.finish()].map((chunk) => chunk.length)
  }

  test('chunks within the pushed array are views of it, others are their own', () => {
    const data = pseudoRandom(8192)
    const chunker = new Chunker(chunkSizes(1024))
    const whole = chunker.push(data)
    expect(whole.length).toBeGreaterThan(2)
    expect(whole.every((chunk) => chunk.buffer === data.buffer)).toBe(true)
    const [last] = chunker.finish()
    expect(last!.buffer).not.toBe(data.buffer)
  })

  test('the pushed array may be reused when the chunks of the push are done with', () => {
    const data = pseudoRandom(100000)
    const chunker = new Chunker(chunkSizes(1024))
    const scratch = new Uint8Array(777)
    const copies: Uint8Array[] = []
    for (let offset = 0; offset < data.length; offset += scratch.length) {
      const piece = data.subarray(offset, offset + scratch.length)
      scratch.set(piece)
      for (const chunk of chunker.push(scratch.subarray(0, piece.length))) copies.push(chunk.slice())
      scratch.fill(0xee)
    }
    copies.push(...chunker.finish())
    expect(Buffer.concat(copies).equals(data)).toBe(true)
  })

  test('gives out what it holds back, so that somebody else can go on', () => {
    const data = pseudoRandom(10000)
    const expected = cutAll(data)
    for (const taken of [0, 1, 511, 512, 5000, 9999, 10000]) {
      const chunker = new Chunker(chunkSizes(1024))
      const before = chunker.push(data.subarray(0, taken)).map((chunk) => chunk.length)
      const rest = chunker.rest()
      expect(chunker.finish()).toEqual([])
      expect([...before, ...cutAll(Buffer.concat([rest, data.subarray(taken)]))]).toEqual(expected)
    }
  })

  test('is as new after finish', () => {
    const data = pseudoRandom(10000)
    const chunker = new Chunker(chunkSizes(1024))
    const lengths = () => [...chunker.push(data), ...chunker.finish()].map((chunk) => chunk.length)
    expect(lengths()).toEqual(lengths())
    expect(chunker.finish()).toEqual([])
  })
})

describe('chunks', () => {
  test('cuts a stream, whatever the pieces', async () => {
    const data = pseudoRandom(1048576)
    async function* source() {
      for (let offset = 0; offset < data.length; offset += 65536) yield data.subarray(offset, offset + 65536)
    }
    const lengths: number[] = []
    for await (const chunk of chunks(source())) lengths.push(chunk.length)
    expect(lengths).toEqual([289018, 242244, 401660, 115654])
  })

  test('passes on the error of the source unchanged', async () => {
    const failure = new Error('disk on fire')
    // biome-ignore lint/correctness/useYield: a source that fails at once
    async function* source(): AsyncGenerator<Uint8Array> {
      throw failure
    }
    await expect(chunks(source()).next()).rejects.toBe(failure)
  })

  test('closes the source when the consumer leaves early', async () => {
    let closed = false
    async function* source() {
      try {
        for (;;) yield pseudoRandom(8192)
      } finally {
        closed = true
      }
    }
    for await (const _ of chunks(source(), chunkSizes(1024))) break
    expect(closed).toBe(true)
  })
})

describe('where WebAssembly cannot be used', () => {
  test('the plain scanner stands in', () => {
    const original = Object.getOwnPropertyDescriptor(globalThis, 'WebAssembly')!
    expect(createScanner()).toBeInstanceOf(WasmScanner)
    try {
      Object.defineProperty(globalThis, 'WebAssembly', { ...original, value: undefined })
      expect(createScanner()).toBeInstanceOf(HalvesScanner)
      const forbidden = {
        Module: class {
          constructor() {
            throw new EvalError('forbidden by the page')
          }
        },
      }
      Object.defineProperty(globalThis, 'WebAssembly', { ...original, value: forbidden })
      expect(createScanner()).toBeInstanceOf(HalvesScanner)
    } finally {
      Object.defineProperty(globalThis, 'WebAssembly', original)
    }
  })
})
