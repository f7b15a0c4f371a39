const LEAST = 64
const WORDS = 3

/**
 * A set of digests, of which it keeps the first 12 bytes: at most 36 bytes an entry, where a Set of strings takes four
 * times that. Two digests that begin alike in 96 bits are one to it. Nobody can make one that begins like a given other,
 * nor do they meet by chance: among ten million, one time in 10^15.
 */
export class DigestSet {
  #slots = new Uint32Array(WORDS * LEAST)
  #mask = LEAST - 1
  #size = 0

  get size(): number {
    return this.#size
  }

  /**
   * Adds the digest at `at`.
   *
   * @returns whether it is new
   */
  add(bytes: Uint8Array, at = 0): boolean {
    // At most two thirds full.
    if ((this.#size + 1) * 3 > (this.#mask + 1) * 2) this.#grow()
    // The last bit says that a slot is taken.
    if (!this.#insert(word(bytes, at), word(bytes, at + 4), (word(bytes, at + 8) | 1) >>> 0)) return false
    this.#size++
    return true
  }

  has(bytes: Uint8Array, at = 0): boolean {
    const a = word(bytes, at)
    const b = word(bytes, at + 4)
    const c = (word(bytes, at + 8) | 1) >>> 0
    const slots = this.#slots
    for (let slot = a & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const i = slot * WORDS
      const taken = slots[i + 2]
      if (taken === 0) return false
      if (taken === c && slots[i] === a && slots[i + 1] === b) return true
    }
  }

  /** Adds what another set has. */
  addAll(other: DigestSet): void {
    for (const digest of other.prefixes()) this.add(digest)
  }

  /** What is kept of each digest: it is as good as the digest to sets of this kind. Valid until the next one. */
  *prefixes(): Generator<Uint8Array, void, undefined> {
    const prefix = Buffer.alloc(4 * WORDS)
    const slots = this.#slots
    for (let i = 0; i < slots.length; i += WORDS) {
      if (slots[i + 2] === 0) continue
      for (let at = 0; at < WORDS; at++) prefix.writeUInt32LE(slots[i + at]!, 4 * at)
      yield prefix
    }
  }

  #insert(a: number, b: number, c: number): boolean {
    const slots = this.#slots
    for (let slot = a & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const i = slot * WORDS
      const taken = slots[i + 2]
      if (taken === 0) {
        slots[i] = a
        slots[i + 1] = b
        slots[i + 2] = c
        return true
      }
      if (taken === c && slots[i] === a && slots[i + 1] === b) return false
    }
  }

  #grow(): void {
    const old = this.#slots
    this.#mask = 2 * (this.#mask + 1) - 1
    this.#slots = new Uint32Array(WORDS * (this.#mask + 1))
    for (let i = 0; i < old.length; i += WORDS) {
      if (old[i + 2] !== 0) this.#insert(old[i]!, old[i + 1]!, old[i + 2]!)
    }
  }
}

/** Four bytes of a digest, as a number. */
export function word(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0
}
