import { createHash } from 'node:crypto'
import { B3Digest, HasherFinishedError, HashingReader, hashThrough } from '@neve/castore-model'
import { describe, expect, it } from 'vitest'
import { BLOB_A, BLOB_B, DUMMY_DATA_1, EMPTY_BLOB_CONTENTS, hex } from './fixtures.js'

async function* pieces(content: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < content.length; at += size) yield content.slice(at, at + size)
}

async function collect(source: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  for await (const part of source) parts.push(part)
  return new Uint8Array(Buffer.concat(parts))
}

describe('hashing reader (spec 01 section 2.1)', () => {
  it.each([
    ['BLOB_A', BLOB_A],
    ['BLOB_B', BLOB_B],
    ['no bytes', EMPTY_BLOB_CONTENTS],
  ])('01#1 02#13 hands on %s unchanged and has its digest', async (_, content) => {
    const reader = hashThrough(pieces(content, 1000))
    expect(hex(await collect(reader))).toBe(hex(content))
    expect(reader.bytesRead).toBe(BigInt(content.length))
    expect(reader.digest().equals(B3Digest.of(content))).toBe(true)
  })

  it('hashes what was read through it only, and goes on where reading stopped', async () => {
    const reader = hashThrough({ [Symbol.asyncIterator]: () => source })
    const source: AsyncIterator<Uint8Array> & { return?: never } = {
      next: (() => {
        const inner = pieces(BLOB_B, 255)
        return () => inner.next()
      })(),
    }
    let seen = 0
    for await (const piece of reader) {
      seen += piece.length
      if (seen === 255 * 3) break
    }
    for await (const piece of reader) {
      seen += piece.length
      if (seen === 255 * 5) break
    }
    expect(seen).toBe(255 * 5)
    expect(reader.digest().equals(B3Digest.of(BLOB_B.slice(0, 255 * 5)))).toBe(true)
  })

  it('is not misled by a receiver that overwrites what it got', async () => {
    const reader = hashThrough(pieces(DUMMY_DATA_1, 2))
    for await (const piece of reader) piece.fill(0)
    expect(reader.digest().equals(B3Digest.of(DUMMY_DATA_1))).toBe(true)
  })

  it('passes errors of the source through', async () => {
    const failure = new Error('the disk is gone')
    const reader = hashThrough(
      (async function* () {
        yield BLOB_A
        throw failure
      })(),
    )
    await expect(collect(reader)).rejects.toBe(failure)
    expect(reader.digest().equals(B3Digest.of(BLOB_A))).toBe(true)
  })

  it('gives its digest once', async () => {
    const reader = hashThrough(pieces(BLOB_A, 1))
    reader.digest()
    expect(() => reader.digest()).toThrow(HasherFinishedError)
    await expect(collect(reader)).rejects.toThrow(HasherFinishedError)
  })

  it('takes any incremental hash', async () => {
    const reader = new HashingReader<Buffer>(pieces(BLOB_B, 4096), createHash('sha256'))
    await collect(reader)
    expect(hex(reader.digest())).toBe(createHash('sha256').update(BLOB_B).digest('hex'))
  })
})
