import { randomFillSync } from 'node:crypto'
import { createRequire } from 'node:module'
import { describe, expect, it } from 'vitest'
import { expandChunk, frameBound, frameChunk, framedChunk } from '../src/blob/chunk-frames.js'

const { decompress } = createRequire(import.meta.url)('zstd-napi') as {
  decompress(stream: Uint8Array): Buffer
}

const random = (length: number): Uint8Array => randomFillSync(new Uint8Array(length))
const text = (length: number): Uint8Array =>
  Buffer.from('words that come again '.repeat(length / 22 + 1)).subarray(0, length)

describe('the frame of a chunk', () => {
  it.each([0, 1, 16 * 1024, 64 * 1024, 64 * 1024 + 1, 256 * 1024 + 1, 1024 * 1024, 3_000_001])(
    'is within its bound, and gives %i bytes back, whether they shrink or not',
    (length) => {
      for (const content of [random(length), text(length)]) {
        const frame = framedChunk(content)
        expect(frame.length).toBeLessThanOrEqual(frameBound(length))
        expect(Buffer.compare(expandChunk(frame, length), content)).toBe(0)
        expect(Buffer.compare(decompress(frame), content)).toBe(0)
      }
    },
  )

  it('is small where any of the samples shrinks', () => {
    const content = random(1024 * 1024)
    content.set(text(256 * 1024), 768 * 1024)
    expect(framedChunk(content).length).toBeLessThan(800 * 1024)
  })

  it('leaves alone what lies before and after it', () => {
    for (const content of [random(200_000), text(200_000)]) {
      const out = new Uint8Array(frameBound(content.length) + 20).fill(0xee)
      const length = frameChunk(out.subarray(0, out.length - 10), 10, content)
      expect(out.subarray(0, 10).every((byte) => byte === 0xee)).toBe(true)
      expect(out.subarray(out.length - 10).every((byte) => byte === 0xee)).toBe(true)
      expect(Buffer.compare(expandChunk(out.subarray(10, 10 + length), content.length), content)).toBe(0)
    }
  })

  it('has the content as it is where no sample shrinks', () => {
    const content = random(300_000)
    // Only its first bytes would.
    content.fill(0, 0, 50_000)
    expect(framedChunk(content).length).toBeGreaterThan(299_000)
  })
})
