import { B3Digest } from './b3-digest.js'
import { blake3 } from './blake3.js'
import { HasherFinishedError } from './errors.js'

/** Any incremental hash; `D` is what it gives at the end. `node:crypto` hashes fit as they are. */
export interface IncrementalHash<D> {
  update(data: Uint8Array): unknown
  digest(): D
}

/**
 * Hands on what a source yields, unchanged, and hashes it on the way (spec 01 section 2.1, spec 02 section 12). Reading
 * again goes on where the last reading stopped, when the source allows that; errors of the source pass through.
 */
export class HashingReader<D> implements AsyncIterable<Uint8Array> {
  readonly #source: AsyncIterable<Uint8Array>
  readonly #hash: IncrementalHash<D>
  #bytesRead = 0n
  #finished = false

  constructor(source: AsyncIterable<Uint8Array>, hash: IncrementalHash<D>) {
    this.#source = source
    this.#hash = hash
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    if (this.#finished) throw new HasherFinishedError()
    for await (const piece of this.#source) {
      if (this.#finished) throw new HasherFinishedError()
      // Before it is handed on: what the receiver does to the piece must not change the digest.
      this.#hash.update(piece)
      this.#bytesRead += BigInt(piece.length)
      yield piece
    }
  }

  /** Bytes that were handed on so far. */
  get bytesRead(): bigint {
    return this.#bytesRead
  }

  /**
   * The digest of everything handed on so far, not of what the source still has. Once: this and reading on throw
   * `HasherFinishedError` afterwards.
   */
  digest(): D {
    if (this.#finished) throw new HasherFinishedError()
    this.#finished = true
    return this.#hash.digest()
  }
}

/** A {@link HashingReader} for BLAKE3. */
export function hashThrough(source: AsyncIterable<Uint8Array>): HashingReader<B3Digest> {
  const hasher = blake3.hasher()
  return new HashingReader(source, {
    update: (data) => hasher.update(data),
    digest: () => B3Digest.adopt(hasher.digest()),
  })
}
