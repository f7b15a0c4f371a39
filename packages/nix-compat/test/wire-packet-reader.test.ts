import { createHash } from 'node:crypto'
import {
  ByteSource,
  encodeBytes,
  encodeU64,
  openPacket,
  openPacketNow,
  type PacketOptions,
  type PacketReader,
  readTrailer,
  WireError,
} from '@neve/nix-compat/wire'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { bytewise, code, collect, failing, hanging, hex, stalling, strict, toHex } from './wire-helpers.js'

const LARGE = new Uint8Array(255 * 4096).map((_, index) => index % 255)
const P9 = encodeBytes(hex('ff0102030405060708'))
const LIMIT: PacketOptions = { max: 1024n }
const NAR_TRAILER = {
  pattern: hex('0000000000000000 0100000000000000 2900000000000000'),
  text: 'zero padding, then ")"',
}

/** Reads exactly `count` bytes, in as many reads as it takes. */
async function readExactly(packet: PacketReader, count: number): Promise<Uint8Array> {
  const bytes: number[] = []
  while (bytes.length < count) {
    const piece = await packet.read(count - bytes.length)
    if (piece.length === 0) throw new Error('end of data')
    bytes.push(...piece)
  }
  return Uint8Array.from(bytes)
}

async function readAll(source: ByteSource, options: PacketOptions = LIMIT): Promise<Uint8Array> {
  return collect(await openPacket(source, options))
}

const feeds: [string, (bytes: Uint8Array) => Uint8Array[]][] = [
  ['one chunk', (bytes) => [bytes]],
  ['09#25 single bytes', bytewise],
]

describe.each(feeds)('packet reader, fed by %s', (_name, split) => {
  const cut = (length: number) => split(P9.subarray(0, length))

  test('09#15 payloads of every shape', async () => {
    for (const payload of ['', 'ff', '0001020304050607', '000102030405060708'].map(hex)) {
      const source = strict(...split(encodeBytes(payload)))
      const packet = await openPacket(source, LIMIT)
      expect(packet.length).toBe(BigInt(payload.length))
      expect(await collect(packet)).toEqual(payload)
      expect(packet.length).toBe(0n)
      expect(await packet.read()).toHaveLength(0)
    }
  })

  test('09#16 09#17 length out of range: open fails with nothing but the size read', async () => {
    const large = strict(...split(encodeU64(BigInt(LARGE.length))))
    expect(await code(openPacket(large, { max: 2047n }))).toBe('invalid-data')
    expect(large.position).toBe(8n)
    const small = strict(...split(encodeU64(3n)))
    expect(await code(openPacket(small, { min: 1024n, max: 2047n }))).toBe('invalid-data')
  })

  test('09#18 non-zero padding', async () => {
    const packet = encodeBytes(hex('000102'))
    packet[12] = 0xff
    const error = await readAll(ByteSource.from(split(packet))).catch((e: unknown) => e)
    expect(error).toMatchObject({ code: 'invalid-data', offset: 12n })
  })

  test('09#19 cut inside the size: open fails', async () => {
    expect(await code(openPacket(ByteSource.from(cut(4)), LIMIT))).toBe('unexpected-eof')
  })

  test('09#20 cut after 4 payload bytes: those are delivered, then unexpected-eof', async () => {
    const packet = await openPacket(ByteSource.from(cut(12)), LIMIT)
    expect(toHex(await readExactly(packet, 4))).toBe('ff010203')
    expect(await code(packet.read(1))).toBe('unexpected-eof')
    expect(await code(packet.read(1))).toBe('unexpected-eof')
  })

  test.each([17, 19, 23])('09#21 cut at %i: the 9th byte is never delivered', async (length) => {
    const packet = await openPacket(ByteSource.from(cut(length)), LIMIT)
    expect(toHex(await readExactly(packet, 8))).toBe('ff01020304050607')
    expect(packet.length).toBe(1n)
    expect(await code(packet.read(1))).toBe('unexpected-eof')
    expect(packet.length).toBe(1n)
  })

  test.each([4, 8, 12, 19])('09#22 the source fails after %i bytes: that very error', async (length) => {
    const foo = Object.assign(new Error('foo'), { code: 'other' })
    const source = failing(foo, ...cut(length))
    await expect(readAll(source)).rejects.toBe(foo)
    await expect(source.pull()).rejects.toBe(foo)
  })

  test('09#23 an error behind the packet is not seen', async () => {
    expect(toHex(await readAll(failing(new Error('foo'), ...split(P9))))).toBe('ff0102030405060708')
  })

  test.each([0, 8, 12, 19])('09#24 a stall at %i changes nothing', async (at) => {
    const source = stalling(...split(P9.subarray(0, at)), ...split(P9.subarray(at)))
    expect(toHex(await readAll(source))).toBe('ff0102030405060708')
  })

  test('09#26 NAR trailer, size 0: opening consumes all 24 bytes', async () => {
    const source = strict(...split(hex('0000000000000000 0100000000000000 2900000000000000')))
    const packet = await openPacket(source, { trailer: NAR_TRAILER })
    expect(source.position).toBe(24n)
    expect(packet.length).toBe(0n)
    expect(await packet.read()).toHaveLength(0)
  })

  test('09#27 NAR trailer, size 16: reading 16 bytes has consumed all 40', async () => {
    const bytes = hex(`1000000000000000 ${'55'.repeat(16)} 0100000000000000 2900000000000000`)
    for (const step of [16, 1, 5]) {
      const source = strict(...split(bytes))
      const packet = await openPacket(source, { trailer: NAR_TRAILER })
      let got = 0
      while (got < 16) got += (await packet.read(Math.min(step, 16 - got))).length
      expect(source.position).toBe(40n)
    }
  })

  test('09#28 a zero-length read is a no-op anywhere', async () => {
    const packet = await openPacket(strict(...split(P9)), LIMIT)
    const bytes: number[] = []
    for (;;) {
      expect(await packet.read(0)).toHaveLength(0)
      const piece = await packet.read(1)
      if (piece.length === 0) break
      bytes.push(...piece)
    }
    expect(await packet.read(0)).toHaveLength(0)
    expect(toHex(Uint8Array.from(bytes))).toBe('ff0102030405060708')
  })

  test('a cut or a flip anywhere behind the payload keeps the last block back', async () => {
    for (const size of [1, 7, 8, 9, 16]) {
      const payload = new Uint8Array(size).fill(0x55)
      const whole = hex(`${toHex(encodeBytes(payload))} 0100000000000000 2900000000000000`)
      const body = size - (((size - 1) % 8) + 1)
      for (let at = 8 + size; at < whole.length; at++) {
        const flipped = whole.slice()
        flipped[at]! ^= 0x10
        for (const [bytes, kind] of [
          [whole.subarray(0, at), 'unexpected-eof'],
          [flipped, 'invalid-data'],
        ] as const) {
          const packet = await openPacket(ByteSource.from(split(bytes)), { trailer: NAR_TRAILER })
          if (body > 0) expect(await readExactly(packet, body)).toHaveLength(body)
          expect(await code(packet.read()), `size ${size}, ${kind} at ${at}`).toBe(kind)
        }
      }
    }
  })
})

describe('large packets', () => {
  test('09#15 LARGE reads back, with the digest of the vector', async () => {
    expect(sha256(LARGE)).toBe('a1b7d5f864bec6d8db9dbb6a4be7a04e616bdb2e725c5090c360e47d1f0a2bc8')
    const packet = encodeBytes(LARGE)
    expect(packet).toHaveLength(1_044_488)
    expect(sha256(packet)).toBe('6489d92e26ae42902e8383360c092bdf77f7b777538774bdd25c4da11d16abbb')
    const chunks = Array.from({ length: 256 }, (_, index) =>
      packet.subarray(index * 4097, (index + 1) * 4097),
    )
    const payload = await readAll(strict(...chunks.filter((c) => c.length > 0)), {
      max: BigInt(LARGE.length),
    })
    expect(Buffer.compare(payload, LARGE)).toBe(0)
  })

  test('a length near 2^64 is carried exactly', async () => {
    const packet = await openPacket(ByteSource.from([encodeU64(2n ** 64n - 1n), new Uint8Array(100)]))
    expect(packet.length).toBe(2n ** 64n - 1n)
    expect(await packet.read()).toHaveLength(100)
    expect(packet.length).toBe(2n ** 64n - 101n)
    expect(await code(packet.read())).toBe('unexpected-eof')
  })

  test('a read size that is no size is misuse', async () => {
    const packet = await openPacket(ByteSource.from(P9))
    for (const max of [-1, Number.NaN]) expect(await code(packet.read(max))).toBe('misuse')
  })

  test('any chunking and any read sizes yield the payload and leave the rest', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 70 }),
        fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }),
        fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1 }),
        async (payload, cuts, reads) => {
          const bytes = Uint8Array.from([...encodeBytes(payload), 1, 2, 3])
          const chunks: Uint8Array[] = []
          for (let at = 0, turn = 0; at < bytes.length; turn++) {
            const step = cuts[turn % cuts.length]!
            chunks.push(bytes.subarray(at, at + step))
            at += step
          }
          const source = ByteSource.from(chunks)
          const packet = await openPacket(source)
          const got: number[] = []
          for (let turn = 0; packet.length > 0n; turn++) {
            const piece = await packet.read(reads[turn % reads.length]!)
            expect(piece.length).toBeGreaterThan(0)
            got.push(...piece)
          }
          expect(Uint8Array.from(got)).toEqual(payload)
          expect(source.position).toBe(BigInt(bytes.length - 3))
          expect(toHex(await collect(source.rest()))).toBe('010203')
        },
      ),
    )
  })
})

describe('opening without waiting', () => {
  const empty = hex('0000000000000000 0100000000000000 2900000000000000')

  test('works when all is at hand, and else consumes nothing', async () => {
    for (const [bytes, needed] of [
      [P9, 8],
      [empty, 24],
    ] as const) {
      const source = stalling(bytes.subarray(0, needed - 1), bytes.subarray(needed - 1))
      expect(openPacketNow(source, { trailer: NAR_TRAILER })).toBeUndefined()
      await source.pull()
      expect(openPacketNow(source, { trailer: NAR_TRAILER })).toBeUndefined()
      expect(source.position).toBe(0n)
      await source.pull()
      expect(openPacketNow(source, { trailer: NAR_TRAILER })?.length).toBe(bytes === P9 ? 9n : 0n)
      expect(source.position).toBe(BigInt(needed))
    }
  })

  test('refuses what openPacket refuses', async () => {
    const long = ByteSource.from(P9)
    await long.pull()
    expect(() => openPacketNow(long, { max: 8n })).toThrow(
      expect.objectContaining({ code: 'invalid-data', actual: '9', offset: 0n }),
    )
    const flipped = empty.slice()
    flipped[17] = 1
    const bad = ByteSource.from(flipped)
    await bad.pull()
    expect(() => openPacketNow(bad, { trailer: NAR_TRAILER })).toThrow(
      expect.objectContaining({ code: 'invalid-data', offset: 17n }),
    )
  })
})

describe('trailer reader', () => {
  test('09#29 ends early', async () => {
    expect(await code(readTrailer(stalling('ed', 'ef00'), 2))).toBe('unexpected-eof')
  })

  test('09#30 wrong padding is refused without waiting for the rest', async () => {
    const error = await readTrailer(hanging('ed', 'ef0100'), 2).catch((e: unknown) => e)
    expect(error).toBeInstanceOf(WireError)
    expect(error).toMatchObject({ code: 'invalid-data', offset: 2n })
  })

  test('09#31 in pieces', async () => {
    expect(toHex(await readTrailer(stalling('ed', 'ef00', '0000000000'), 2))).toBe('edef')
  })

  test('09#32 no tail: no read', async () => {
    expect(await readTrailer(strict(), 0)).toHaveLength(0)
  })
})

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
