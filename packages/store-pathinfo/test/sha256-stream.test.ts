import { createHash } from 'node:crypto'
import { Sha256Stream } from '@neve/store-pathinfo'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

function expected(pieces: readonly Uint8Array[]): string {
  const hash = createHash('sha256')
  for (const piece of pieces) hash.update(piece)
  return hash.digest('hex')
}

/** Gives the pieces in memory that is used again at once. */
async function hashed(pieces: readonly Uint8Array[]): Promise<string> {
  const stream = new Sha256Stream()
  const shared = new Uint8Array(Math.max(0, ...pieces.map((piece) => piece.length)))
  for (const piece of pieces) {
    shared.set(piece)
    await stream.update(shared.subarray(0, piece.length))
    shared.fill(0xaa)
  }
  return Buffer.from(await stream.digest()).toString('hex')
}

function patterned(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length)
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + seed * 17 + (i >>> 8)) & 0xff
  return bytes
}

describe('Sha256Stream', () => {
  test('is that of the bytes, however they are cut and whatever becomes of them afterwards', async () => {
    const lengths = fc.array(fc.nat({ max: 100_000 }), { maxLength: 20 })
    await fc.assert(
      fc.asyncProperty(lengths, fc.nat(255), async (cuts, seed) => {
        const pieces = cuts.map((length, i) => patterned(length, seed + i))
        expect(await hashed(pieces)).toBe(expected(pieces))
      }),
      { numRuns: 50 },
    )
  })

  test('many at once do not disturb each other, nor do those that are given up', async () => {
    const given = Array.from({ length: 40 }, (_, i) => [patterned(70_000 + i, i), patterned(300_000, i + 1)])
    const running = given.map(async (pieces, i) => {
      if (i % 4 !== 3) return await hashed(pieces)
      const stream = new Sha256Stream()
      for (const piece of pieces) await stream.update(piece)
      stream.discard()
      stream.discard()
      return 'discarded'
    })
    const digests = await Promise.all(running)
    for (const [i, pieces] of given.entries()) {
      expect(digests[i]).toBe(i % 4 === 3 ? 'discarded' : expected(pieces))
    }
  })

  test('makes whoever gives more than it can hash wait', async () => {
    const stream = new Sha256Stream()
    const piece = patterned(1024 * 1024, 1)
    const given: Uint8Array[] = []
    let room: Promise<void> | undefined
    while (room === undefined) {
      room = stream.update(piece)
      given.push(piece)
      expect(given.length).toBeLessThan(10)
    }
    await room
    expect(Buffer.from(await stream.digest()).toString('hex')).toBe(expected(given))
  })
})
