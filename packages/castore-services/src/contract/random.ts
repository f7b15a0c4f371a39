/** Pseudo-random numbers that are the same in every run, so that a failure can be repeated. */
export class SeededRandom {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** An integer, at least `low` and below `high`. */
  between(low: number, high: number): number {
    return low + Math.floor((this.#next() / 2 ** 32) * (high - low))
  }

  /** Bytes that no compression makes smaller. */
  bytes(length: number): Uint8Array {
    const words = new Uint32Array(Math.ceil(length / 4))
    for (let index = 0; index < words.length; index++) words[index] = this.#next()
    return new Uint8Array(words.buffer, 0, length)
  }

  // A 32-bit mix of a counter: short, and free of the patterns that a chunker or a compressor would find.
  #next(): number {
    this.#state = (this.#state + 0x9e3779b9) >>> 0
    let word = this.#state
    word = Math.imul(word ^ (word >>> 16), 0x21f0aaad)
    word = Math.imul(word ^ (word >>> 15), 0x735a2d97)
    return (word ^ (word >>> 15)) >>> 0
  }
}

/** Bytes that no compression makes smaller, the same in every run. */
export function randomBytes(length: number, seed: number): Uint8Array {
  return new SeededRandom(seed).bytes(length)
}
