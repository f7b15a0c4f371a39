import type { ChunkSizes } from './chunk-sizes.js'
import { Cutter } from './cutter.js'

/**
 * Cuts a byte sequence that arrives in pieces into chunks. Boundaries depend only on the bytes, never on how they were
 * split (spec 02 section 8.2). At most `sizes.max` bytes are held back between calls; empty input gives no chunks.
 *
 * Ownership: a returned chunk that lies wholly within the pushed array is a **view of that array**, so nothing is
 * copied when large pieces are pushed; every other chunk is an array of its own. Bytes that are held back are copied.
 * So whoever wants to reuse the pushed array must first be done with the chunks of that push.
 */
export class Chunker {
  readonly #cutter: Cutter
  #buffer: Uint8Array | undefined
  #head = 0
  #tail = 0

  /**
   * @param sizes default `chunkSizes()`
   * @throws FastCdcError when the sizes are out of range or out of order
   */
  constructor(sizes?: ChunkSizes) {
    this.#cutter = new Cutter(sizes)
  }

  /** The sizes in force, in bytes. */
  get sizes(): ChunkSizes {
    return this.#cutter.sizes
  }

  /** Takes the next piece of any length, and returns the chunks that are now complete, in order. */
  push(data: Uint8Array): Uint8Array[] {
    const chunks: Uint8Array[] = []
    let offset = 0
    while (this.#tail > this.#head) {
      const wanted = this.sizes.max - (this.#tail - this.#head)
      offset += this.#hold(data.subarray(offset, offset + wanted))
      if (this.#tail - this.#head < this.sizes.max) return chunks
      chunks.push(this.#take(false))
      const left = this.#tail - this.#head
      if (left <= offset) {
        // What is left came from this very piece: go on in the piece itself, where chunks need no copy.
        offset -= left
        this.#head = this.#tail = 0
      }
    }
    for (;;) {
      const length = this.#cutter.cut(data, offset, data.length, false)
      if (length === 0) break
      chunks.push(data.subarray(offset, offset + length))
      offset += length
    }
    this.#hold(data.subarray(offset))
    return chunks
  }

  /** Says that nothing follows, and returns the last chunks. After it the chunker is as new. */
  finish(): Uint8Array[] {
    const chunks: Uint8Array[] = []
    while (this.#tail > this.#head) chunks.push(this.#take(true))
    this.#head = this.#tail = 0
    return chunks
  }

  /** Takes out the bytes that are held back, to go on elsewhere: they begin a chunk. After it the chunker is as new. */
  rest(): Uint8Array {
    const rest = this.#buffer?.slice(this.#head, this.#tail) ?? new Uint8Array(0)
    this.#head = this.#tail = 0
    return rest
  }

  #take(final: boolean): Uint8Array {
    const buffer = this.#buffer!
    const length = this.#cutter.cut(buffer, this.#head, this.#tail, final)
    const chunk = buffer.slice(this.#head, this.#head + length)
    this.#head += length
    return chunk
  }

  #hold(data: Uint8Array): number {
    if (data.length === 0) return 0
    // Twice the maximum, so that what is held back is moved to the front only once for every maximum of bytes.
    this.#buffer ??= new Uint8Array(2 * this.sizes.max)
    if (this.#tail + data.length > this.#buffer.length) {
      this.#buffer.copyWithin(0, this.#head, this.#tail)
      this.#tail -= this.#head
      this.#head = 0
    }
    this.#buffer.set(data, this.#tail)
    this.#tail += data.length
    return data.length
  }
}

/**
 * The chunks of a byte stream, in order (spec 02 section 8.2).
 *
 * Ownership as with `Chunker`: a chunk may be a view of an array that the source gave. A source that reuses its arrays
 * leaves a chunk intact until the next one is asked for.
 *
 * @throws FastCdcError when the sizes are out of range or out of order, at the first `next`; errors of the source pass
 *   through unchanged
 */
export async function* chunks(
  source: AsyncIterable<Uint8Array>,
  sizes?: ChunkSizes,
): AsyncGenerator<Uint8Array, void, undefined> {
  const chunker = new Chunker(sizes)
  for await (const piece of source) yield* chunker.push(piece)
  yield* chunker.finish()
}
