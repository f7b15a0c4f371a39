import { randomFillSync } from 'node:crypto'
import { createRequire } from 'node:module'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ZstdOutput, zstdOutputBound } from '../src/blob/zstd-output.js'

const { compress, decompress } = createRequire(import.meta.url)('zstd-napi') as {
  compress(content: Uint8Array): Buffer
  decompress(stream: Uint8Array): Buffer
}

const part = fc.record({
  frame: fc.boolean(),
  length: fc.oneof(fc.nat(40), fc.nat(2000), fc.constantFrom(131_071, 131_072, 131_073, 300_000)),
})

describe('a zstd stream made without a compressor', () => {
  it('expands to its parts, in whatever order they come, within the bound', () => {
    fc.assert(
      fc.property(fc.array(part, { maxLength: 12 }), (parts) => {
        const contents = parts.map(({ length }) => randomFillSync(Buffer.alloc(length)))
        const frames = parts.map(({ frame }, at) => (frame ? compress(contents[at]!) : undefined))
        const framed = frames.reduce((sum, frame) => sum + (frame?.length ?? 0), 0)
        const literal = contents.reduce((sum, { length }, at) => sum + (frames[at] ? 0 : length), 0)
        const out = Buffer.alloc(framed + zstdOutputBound(literal, parts.length), 0xee)
        const output = new ZstdOutput(out)
        for (const [at, content] of contents.entries()) {
          if (frames[at] === undefined) output.literal(content)
          else output.frame(frames[at])
        }
        const stream = out.subarray(0, output.end())
        const expected = Buffer.concat(contents)
        expect((stream.length === 0 ? stream : decompress(stream)).equals(expected)).toBe(true)
      }),
      { numRuns: 60 },
    )
  })

  it('puts bytes that follow each other into one frame', () => {
    const output = new ZstdOutput(Buffer.alloc(100))
    for (const text of ['a', 'bc', '']) output.literal(Buffer.from(text))
    expect(output.end()).toBe(12 + 3)
  })
})
