import { randomBytes } from 'node:crypto'
import { createRequire } from 'node:module'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isFrameOf } from '../src/zstd-frame.js'

interface Compressor {
  setParameter(parameter: number, value: number): void
  compress2(out: Uint8Array, content: Uint8Array): number
}
const { CCtx, CParameter, findFrameCompressedSize, getFrameContentSize } = createRequire(import.meta.url)(
  'zstd-napi/binding.js',
) as {
  CCtx: new () => Compressor
  CParameter: { contentSizeFlag: number; checksumFlag: number; windowLog: number }
  findFrameCompressedSize(frame: Uint8Array): number
  getFrameContentSize(frame: Uint8Array): number | null
}

function frameOf(
  content: Uint8Array,
  parameters: Partial<Record<keyof typeof CParameter, number>> = {},
): Buffer {
  const compressor = new CCtx()
  for (const [name, value] of Object.entries(parameters)) {
    compressor.setParameter(CParameter[name as keyof typeof CParameter], value)
  }
  const out = Buffer.alloc(content.length + 1000)
  return out.subarray(0, compressor.compress2(out, content))
}

/** What the library says. */
function says(bytes: Uint8Array, length: number): boolean {
  try {
    return findFrameCompressedSize(bytes) === bytes.length && getFrameContentSize(bytes) === length
  } catch {
    return false
  }
}

const CONTENTS = [0, 1, 100, 255, 256, 257, 65_791, 65_792, 131_072, 131_073, 600_000].flatMap((length) => [
  Buffer.alloc(length),
  Buffer.from(randomBytes(length)),
  Buffer.from('frame '.repeat(length)).subarray(0, length),
])

describe('telling a whole zstd frame by its headers', () => {
  it.each([{}, { checksumFlag: 1 }, { windowLog: 12 }])('knows what zstd makes, with %o', (parameters) => {
    for (const content of CONTENTS) {
      const frame = frameOf(content, parameters)
      expect(isFrameOf(frame, content.length), `${content.length} bytes`).toBe(true)
      expect(isFrameOf(frame, content.length + 1)).toBe(false)
      expect(isFrameOf(frame.subarray(0, -1), content.length)).toBe(false)
      expect(isFrameOf(Buffer.concat([frame, Buffer.of(0)]), content.length)).toBe(false)
      expect(isFrameOf(Buffer.concat([frame, frame]), content.length)).toBe(false)
    }
  })

  it('refuses one that does not say how long its content is', () => {
    expect(isFrameOf(frameOf(Buffer.alloc(5000), { contentSizeFlag: 0 }), 5000)).toBe(false)
  })

  it('takes no damaged frame that zstd does not', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...CONTENTS),
        fc.nat(40),
        fc.integer({ min: 1, max: 255 }),
        (content, at, flip) => {
          const frame = Buffer.from(frameOf(content))
          frame[at % frame.length]! ^= flip
          if (isFrameOf(frame, content.length)) expect(says(frame, content.length)).toBe(true)
        },
      ),
      { numRuns: 2000 },
    )
  })
})
