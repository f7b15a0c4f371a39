import type { BlobReader } from '../blob-service.js'
import type { CallOptions } from '../call-options.js'
import { CastoreError } from '../errors.js'

/** What an offset of a seek counts from: the blob's start, the cursor's position, the blob's end. */
export type SeekOrigin = 'start' | 'current' | 'end'

const MAX_POSITION = 2n ** 64n - 1n

/** A reader with a position (spec 02 section 3), for code that reads and seeks in turn. One call at a time. */
export class BlobCursor {
  #position = 0n

  /** @param reader stays the caller's: the cursor does not close it */
  constructor(readonly reader: BlobReader) {}

  /** Where the next read begins, in bytes from the start. */
  get position(): bigint {
    return this.#position
  }

  /** Length of the blob in bytes. */
  get size(): bigint {
    return this.reader.size
  }

  /**
   * Reads on: fewer than `length` bytes only where the blob ends, none at its end. A read that fails does not move
   * the position. The result is for reading.
   *
   * @throws as `BlobReader.readAt`
   */
  async read(length: number, options?: CallOptions): Promise<Uint8Array> {
    const bytes = await this.reader.readAt(this.#position, length, options)
    this.#position += BigInt(bytes.length)
    return bytes
  }

  /**
   * Moves the position; reads nothing. The end of the blob is a legal position, anything after it is not.
   *
   * @param offset bytes, negative ones towards the start
   * @returns the new position, from the start
   * @throws CastoreError `invalid-input` when the target is below 0, above 2^64-1 or after the end; the position stays
   */
  seek(offset: bigint, from: SeekOrigin = 'start'): bigint {
    const base = from === 'start' ? 0n : from === 'current' ? this.#position : this.size
    const target = base + offset
    if (target < 0n || target > MAX_POSITION) {
      throw new CastoreError('invalid-input', `over/underflow while seeking: ${base} + ${offset}`)
    }
    if (target > this.size) {
      throw new CastoreError(
        'invalid-input',
        `seeked beyond EOF: expected at most ${this.size}, got ${target}`,
      )
    }
    this.#position = target
    return target
  }
}
