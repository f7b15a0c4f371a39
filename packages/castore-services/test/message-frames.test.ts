import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FrameDecoder, FrameError, framed } from '../src/grpc/message-frames.js'

/** What a decoder makes of bytes that come in pieces cut at these places. */
function decoded(bytes: Uint8Array, cuts: readonly number[], limit = 1000): Uint8Array[] {
  const decoder = new FrameDecoder(limit)
  const messages: Uint8Array[] = []
  const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].sort((x, y) => x - y)
  for (const [index, end] of places.entries()) {
    decoder.push(bytes.subarray(places[index - 1] ?? 0, end), (message) => messages.push(message))
  }
  expect(decoder.atBoundary).toBe(true)
  return messages
}

describe('frames of messages', () => {
  it('come out as they went in, however they are cut', () => {
    const messages = fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 10 })
    fc.assert(
      fc.property(messages, fc.array(fc.nat()), (given, cuts) => {
        const found = decoded(Buffer.concat(given.map(framed)), cuts)
        expect(found.map((message) => Buffer.from(message).toString('hex'))).toEqual(
          given.map((message) => Buffer.from(message).toString('hex')),
        )
      }),
    )
  })

  it('are not held beyond the limit', () => {
    expect(decoded(framed(new Uint8Array(1000)), [])).toHaveLength(1)
    const decoder = new FrameDecoder(1000)
    const push = () => decoder.push(framed(new Uint8Array(1001)).subarray(0, 5), () => {})
    expect(push).toThrow('received message larger than max (1001 vs 1000)')
    expect(() => new FrameDecoder(1000).push(Uint8Array.of(0, 255, 255, 255, 255), () => {})).toThrow(
      '4294967295',
    )
  })

  it('are refused when they are compressed, which nobody was told to do', () => {
    expect(() => new FrameDecoder(1000).push(Uint8Array.of(1, 0, 0, 0, 0), () => {})).toThrow('compressed')
  })

  it('are never anything but messages, limits or refusals', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const decoder = new FrameDecoder(100)
        let length = 0
        try {
          decoder.push(bytes, (message) => (length += message.length + 5))
        } catch (error) {
          expect(error).toBeInstanceOf(FrameError)
        }
        expect(length).toBeLessThanOrEqual(bytes.length)
      }),
    )
  })
})
