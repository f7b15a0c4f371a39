/** An incremental hash function. BLAKE3's is `blake3.hasher()` of the castore model. */
export interface StreamHasher<D> {
  update(bytes: Uint8Array): unknown
  digest(): D
}

/**
 * Passes a stream through and hashes exactly the bytes that its consumer gets (spec 02 section 12). Consumed once.
 *
 * @typeParam D what the hash function's digest is
 */
export class HashingStream<D> implements AsyncIterable<Uint8Array> {
  readonly #source: AsyncIterable<Uint8Array>
  readonly #hasher: StreamHasher<D>
  #size = 0n

  constructor(source: AsyncIterable<Uint8Array>, hasher: StreamHasher<D>) {
    this.#source = source
    this.#hasher = hasher
  }

  /** How many bytes went through. */
  get size(): bigint {
    return this.#size
  }

  /** The digest of what went through. Ask once, at the end, as the hash function wants it. */
  digest(): D {
    return this.#hasher.digest()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const piece of this.#source) {
      this.#hasher.update(piece)
      this.#size += BigInt(piece.length)
      yield piece
    }
  }
}
