import {
  ByteSource,
  encodeBool,
  encodeBytes,
  encodeList,
  encodeString,
  encodeU64,
  padLength,
  readBool,
  readBytes,
  readList,
  readString,
  readU64,
  WireEncoder,
  WireError,
} from '@neve/nix-compat/wire'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { code, collect, hex, strict, toHex } from './wire-helpers.js'

describe('primitives', () => {
  test('09#1 u64 read', async () => {
    expect(await readU64(strict('d202964900000000'))).toBe(1234567890n)
  })

  test('09#2 u64 write', () => {
    expect(toHex(encodeU64(1234567890n))).toBe('d202964900000000')
    expect(toHex(encodeU64(2n ** 64n - 1n))).toBe('ffffffffffffffff')
    for (const value of [-1n, 2n ** 64n]) {
      expect(() => encodeU64(value)).toThrow(expect.objectContaining({ code: 'invalid-input' }))
    }
  })

  test('09#3 bool read', async () => {
    expect(await readBool(strict('0000000000000000'))).toBe(false)
    expect(await readBool(strict('0100000000000000'))).toBe(true)
    expect(await readBool(strict('0200000000000000'))).toBe(true)
    expect(await readBool(strict('0000000000000080'))).toBe(true)
  })

  test('09#4 bool write', () => {
    expect(toHex(encodeBool(false))).toBe('0000000000000000')
    expect(toHex(encodeBool(true))).toBe('0100000000000000')
  })

  test('09#5 padding is computed without overflow', () => {
    expect(padLength(2n ** 64n - 1n)).toBe(1)
    expect([0n, 1n, 7n, 8n, 9n].map(padLength)).toEqual([0, 7, 1, 0, 7])
    expect([0, 1, 7, 8, 9, 2 ** 53 - 1].map(padLength)).toEqual([0, 7, 1, 0, 7, 1])
  })
})

describe('buffered bytes', () => {
  test('09#6 8 bytes in two chunks', async () => {
    const payload = await readBytes(strict('0800000000000000', '4e61bc0000000000'), { min: 0, max: 1024 })
    expect(toHex(payload)).toBe('4e61bc0000000000')
    expect(await readU64(ByteSource.from(payload))).toBe(12345678n)
  })

  test('09#7 9 bytes', async () => {
    const source = strict('0900000000000000', '01020304050607080900000000000000')
    expect(toHex(await readBytes(source, { max: 1024 }))).toBe('010203040506070809')
  })

  test('09#8 empty: nothing more is read', async () => {
    expect(await readBytes(strict('0000000000000000'), { max: 1024 })).toHaveLength(0)
  })

  test('09#9 size out of range: only the length was consumed', async () => {
    const source = strict('6400000000000000')
    const error = await readBytes(source, { min: 10, max: 10 }).catch((e: unknown) => e)
    expect(error).toBeInstanceOf(WireError)
    expect(error).toMatchObject({ code: 'invalid-data', expected: '10..10', actual: '100', offset: 0n })
    expect(source.position).toBe(8n)
  })

  test('09#10 09#11 09#12 write', () => {
    expect(toHex(encodeBytes(hex('6478696f34657661')))).toBe('08000000000000006478696f34657661')
    expect(toHex(encodeBytes(hex('322e332e3137')))).toBe('0600000000000000322e332e31370000')
    expect(toHex(encodeString('Hello, World!'))).toBe('0d0000000000000048656c6c6f2c20576f726c6421000000')
  })

  test('09#13 the range is inclusive at both ends', async () => {
    const exact = encodeBytes(new Uint8Array(1024).fill(7))
    expect(await readBytes(ByteSource.from(exact), { max: 1024 })).toHaveLength(1024)
    const long = encodeBytes(new Uint8Array(1025))
    expect(await code(readBytes(ByteSource.from(long), { max: 1024 }))).toBe('invalid-data')
    expect(await code(readBytes(strict('0000000000000000'), { min: 1, max: 9 }))).toBe('invalid-data')
    expect(await code(readBytes(strict('ffffffffffffffff'), { max: 2 ** 40 }))).toBe('invalid-data')
  })

  test('09#14 truncation, padding, UTF-8', async () => {
    const whole = encodeBytes(hex('010203'))
    for (let cut = 0; cut < whole.length; cut++) {
      const source = ByteSource.from(whole.subarray(0, cut))
      expect(await code(readBytes(source, { max: 9 })), `cut at ${cut}`).toBe('unexpected-eof')
    }
    for (let at = 11; at < 16; at++) {
      const flipped = whole.slice()
      flipped[at] = 1
      const error = await readBytes(ByteSource.from(flipped), { max: 9 }).catch((e: unknown) => e)
      expect(error).toMatchObject({ code: 'invalid-data', offset: BigInt(at) })
    }
    for (const bad of ['ff', 'c0af', 'eda080', 'f4908080', 'e282']) {
      expect(await code(readString(ByteSource.from(encodeBytes(hex(bad))), { max: 9 }))).toBe('invalid-data')
    }
    expect(await readString(ByteSource.from(encodeString('\ufeffä😀')), { max: 99 })).toBe('\ufeffä😀')
  })

  test('a large payload grows with the data, and a length alone allocates nothing', async () => {
    const payload = Uint8Array.from({ length: 300_001 }, (_, index) => index * 7)
    const packet = encodeBytes(payload)
    const chunks = Array.from({ length: 31 }, (_, index) =>
      packet.subarray(index * 10_000, (index + 1) * 10_000),
    )
    expect(Buffer.compare(await readBytes(ByteSource.from(chunks), { max: 2 ** 30 }), payload)).toBe(0)
    const before = process.memoryUsage().arrayBuffers
    const lie = ByteSource.from(encodeU64(2n ** 39n))
    expect(await code(readBytes(lie, { max: 2 ** 40 }))).toBe('unexpected-eof')
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 ** 24)
  })
})

describe('lists and the encoder', () => {
  test('a list is its count and its items; the count is capped', async () => {
    const bytes = encodeList(['a', 'bc'], (encoder, item) => encoder.string(item))
    expect(toHex(bytes)).toBe(
      '0200000000000000' + '01000000000000006100000000000000' + '02000000000000006263000000000000',
    )
    const item = (source: ByteSource) => readString(source, { max: 8 })
    expect(await readList(ByteSource.from(bytes), { max: 2 }, item)).toEqual(['a', 'bc'])
    const source = ByteSource.from(bytes)
    expect(await code(readList(source, { max: 1 }, item))).toBe('invalid-data')
    expect(source.position).toBe(8n)
  })

  test('what the encoder writes reads back', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
        fc.boolean(),
        fc.uint8Array({ maxLength: 40 }),
        fc.string({ unit: 'grapheme' }),
        fc.integer({ min: 1, max: 9 }),
        async (number, flag, payload, text, step) => {
          const bytes = new WireEncoder(1)
            .u64(number)
            .bool(flag)
            .bytes(payload)
            .string(text)
            .raw(hex('aa'))
            .finish()
          const source = ByteSource.from(chunksOf(bytes, step))
          expect(await readU64(source)).toBe(number)
          expect(await readBool(source)).toBe(flag)
          expect(await readBytes(source, { max: 40 })).toEqual(payload)
          expect(await readString(source, { max: 4000 })).toBe(text)
          expect(toHex(await collect(source.rest()))).toBe('aa')
        },
      ),
    )
  })

  test('any bytes: the decoders accept or throw their own error', async () => {
    const readers = [
      (source: ByteSource) => readBytes(source, { max: 64 }),
      (source: ByteSource) => readString(source, { min: 1, max: 64 }),
      (source: ByteSource) => readList(source, { max: 9 }, readBool),
    ]
    const biased = fc.array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 255 })), { maxLength: 80 })
    await fc.assert(
      fc.asyncProperty(biased, fc.constantFrom(...readers), async (bytes, read) => {
        const error = await read(ByteSource.from(Uint8Array.from(bytes))).then(
          () => undefined,
          (e: unknown) => e,
        )
        if (error !== undefined) expect(error).toBeInstanceOf(WireError)
      }),
    )
  })
})

function chunksOf(bytes: Uint8Array, size: number): Uint8Array[] {
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
    bytes.subarray(index * size, (index + 1) * size),
  )
}
