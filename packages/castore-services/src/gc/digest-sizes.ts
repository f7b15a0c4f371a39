import { word } from './digest-set.js'

const LEAST = 64
const WORDS = 4
const MOST = 2 ** 32 - 1

/**
 * How much is stored under each digest, of which it keeps the first 12 bytes, as `DigestSet` does, with which it goes
 * together: at most 48 bytes an entry.
 */
export class DigestSizes {
  #slots = new Uint32Array(WORDS * LEAST)
  #mask = LEAST - 1
  #count = 0
  #total = 0

  /** All sizes together. */
  get total(): number {
    return this.#total
  }

  /** @param size in bytes, more than what is said of the digest already; from 4 GiB on it is taken for that */
  add(digest: Uint8Array, size: number): void {
    // At most two thirds full.
    if ((this.#count + 1) * 3 > (this.#mask + 1) * 2) this.#grow()
    const at = this.#find(word(digest, 0), word(digest, 4), (word(digest, 8) | 1) >>> 0)
    const slots = this.#slots
    if (slots[at + 2] === 0) {
      slots[at] = word(digest, 0)
      slots[at + 1] = word(digest, 4)
      // The last bit says that a slot is taken.
      slots[at + 2] = word(digest, 8) | 1
      this.#count++
    }
    const before = slots[at + 3]!
    slots[at + 3] = Math.min(before + size, MOST)
    this.#total += slots[at + 3]! - before
  }

  /** @returns 0 for what nothing is said of */
  get(digest: Uint8Array): number {
    const at = this.#find(word(digest, 0), word(digest, 4), (word(digest, 8) | 1) >>> 0)
    return this.#slots[at + 3]!
  }

  /** Where the digest is, or would be. */
  #find(a: number, b: number, c: number): number {
    const slots = this.#slots
    for (let slot = a & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const at = slot * WORDS
      const taken = slots[at + 2]
      if (taken === 0 || (taken === c && slots[at] === a && slots[at + 1] === b)) return at
    }
  }

  #grow(): void {
    const old = this.#slots
    this.#mask = 2 * (this.#mask + 1) - 1
    this.#slots = new Uint32Array(WORDS * (this.#mask + 1))
    for (let i = 0; i < old.length; i += WORDS) {
      if (old[i + 2] === 0) continue
      this.#slots.set(old.subarray(i, i + WORDS), this.#find(old[i]!, old[i + 1]!, old[i + 2]!))
    }
  }
}
