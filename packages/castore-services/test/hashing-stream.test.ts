import { createHash } from 'node:crypto'
import { blake3 } from '@neve/castore-model'
import { HashingStream } from '@neve/castore-services'
import { describe, expect, it } from 'vitest'

async function* inPieces(bytes: Uint8Array, size: number) {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

describe('HashingStream', () => {
  // Digests of spec 02 section 17.1.
  it.each([
    ['BLOB_A', Uint8Array.of(0, 1), '7b7015bb92cf0b318037702a6cdd81dee41224f734684c2c122cd6359cb1ee63'],
    [
      'BLOB_B',
      Uint8Array.from({ length: 255 * 4096 }, (_, index) => index % 255),
      'a82c5154a7a0c262c6fdb929a317585646f8fbcf80326d0a7b8747edaf2d99d2',
    ],
    ['EMPTY', new Uint8Array(0), 'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262'],
  ])('02#13 hashes what goes through: %s', async (_name, content, hex) => {
    const stream = new HashingStream(inPieces(content, 8191), blake3.hasher())
    const pieces: Uint8Array[] = []
    for await (const piece of stream) pieces.push(piece)
    expect(Buffer.concat(pieces).equals(content)).toBe(true)
    expect(Buffer.from(stream.digest()).toString('hex')).toBe(hex)
    expect(stream.size).toBe(BigInt(content.length))
  })

  it('hashes no more than was taken, with any hash function', async () => {
    const sha256 = createHash('sha256')
    const stream = new HashingStream(inPieces(Buffer.from('abcdef'), 3), {
      update: (bytes) => sha256.update(bytes),
      digest: () => sha256.digest('hex'),
    })
    for await (const piece of stream) {
      expect(Buffer.from(piece).toString()).toBe('abc')
      break
    }
    expect(stream.digest()).toBe(createHash('sha256').update('abc').digest('hex'))
  })

  it('passes on what the source throws', async () => {
    const failure = new Error('the source')
    const failing: AsyncIterable<Uint8Array> = {
      [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(failure) }),
    }
    const stream = new HashingStream(failing, blake3.hasher())
    await expect(stream[Symbol.asyncIterator]().next()).rejects.toBe(failure)
  })
})
