import { createHash } from 'node:crypto'
import { NAR_TOKENS } from '@neve/nar'
import { NarHashSink } from '@neve/store-pathinfo'
import { describe, expect, it } from 'vitest'
import { noise } from './host-trees.js'

const NOISE = noise(5_000_000)

function expected(...pieces: Uint8Array[]) {
  const all = Buffer.concat([NAR_TOKENS.magic, ...pieces])
  return { narSize: BigInt(all.length), narSha256: new Uint8Array(createHash('sha256').update(all).digest()) }
}

describe('NarHashSink', () => {
  it.each([
    ['in the calling thread', 1000, 3],
    ['in another', 700_000, 7],
  ])('hashes what it is handed, in order, %s', async (_where, length, count) => {
    await using sink = new NarHashSink()
    const pieces = Array.from({ length: count }, (_, i) => NOISE.slice(i * length, (i + 1) * length))
    const shared = pieces.map((piece) => {
      const bytes = new Uint8Array(new SharedArrayBuffer(piece.length))
      bytes.set(piece)
      return bytes
    })
    // Whoever wrote a piece may use its memory again as soon as that is settled.
    await Promise.all(shared.map((bytes) => sink.write(bytes).then(() => bytes.fill(0))))
    expect(await sink.finish()).toEqual(expected(...pieces))
  })

  it('ends its thread when it is disposed of half-way', async () => {
    const sink = new NarHashSink()
    await sink.write(NOISE)
    await sink[Symbol.asyncDispose]()
    await expect(sink.write(NOISE)).rejects.toThrow('the thread that hashes has ended')
  })

  it('fails when its thread dies: every piece, those that follow, and the end', async () => {
    const sink = new NarHashSink()
    const nothing = { length: 2_000_000 } as unknown as Uint8Array
    const outcomes = await Promise.allSettled([sink.write(nothing), sink.write(NOISE)])
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    await expect(sink.write(NOISE)).rejects.toThrow('data')
    await expect(sink.finish()).rejects.toThrow('data')
    await sink[Symbol.asyncDispose]()
  })
})
