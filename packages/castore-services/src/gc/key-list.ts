const LEAST = 64

/** Keys of one length, one behind the other: a million of 32 bytes take 32 MB, where arrays of their own take 200. */
export class KeyList implements Iterable<Uint8Array> {
  readonly #width: number
  #bytes: Uint8Array
  #length = 0

  /** @param width the length of each key, in bytes */
  constructor(width: number, capacity = LEAST) {
    this.#width = width
    this.#bytes = new Uint8Array(width * Math.max(capacity, 1))
  }

  get length(): number {
    return this.#length
  }

  /** Copies a key to the end. */
  push(key: Uint8Array): void {
    const at = this.#length * this.#width
    if (at === this.#bytes.length) {
      const larger = new Uint8Array(2 * at)
      larger.set(this.#bytes)
      this.#bytes = larger
    }
    this.#bytes.set(key, at)
    this.#length++
  }

  /** Turns their order round. */
  reverse(): this {
    const width = this.#width
    const other = new Uint8Array(width)
    for (let low = 0, high = (this.#length - 1) * width; low < high; low += width, high -= width) {
      other.set(this.#bytes.subarray(low, low + width))
      this.#bytes.copyWithin(low, high, high + width)
      this.#bytes.set(other, high)
    }
    return this
  }

  /** The keys, each in the list's own memory. */
  *[Symbol.iterator](): Generator<Uint8Array, void, undefined> {
    for (let i = 0; i < this.#length; i++) {
      yield this.#bytes.subarray(i * this.#width, (i + 1) * this.#width)
    }
  }
}
