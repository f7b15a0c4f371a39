const FIELDS = 3
const LEAST = 1024

/** The first bytes of a digest that stand for it in an index. */
export const FINGERPRINT_LENGTH = 8

/** A directory that many closures have, such as the empty one, is findable by so many of them. */
const MOST = 4

/**
 * Maps fingerprints of digests to small numbers, several for one fingerprint. Twelve bytes an entry, at most two thirds
 * full: a Map of strings takes ten times that.
 */
export class FingerprintTable {
  #slots = new Uint32Array(LEAST * FIELDS)
  #capacity = LEAST
  #size = 0

  /** How many pairs it has. */
  get size(): number {
    return this.#size
  }

  /** Adds a pair, unless it is there or the fingerprint has four others. @param bytes with the fingerprint at `at` @param value below 2^32-1 */
  add(bytes: Uint8Array, at: number, value: number): void {
    if ((this.#size + 1) * 3 > this.#capacity * 2) this.#grow()
    if (this.#insert(word(bytes, at), word(bytes, at + 4), value + 1)) this.#size++
  }

  /** All numbers of a fingerprint, in the order in which they were added. */
  get(bytes: Uint8Array, at = 0): number[] {
    const found: number[] = []
    const high = word(bytes, at)
    const low = word(bytes, at + 4)
    const slots = this.#slots
    for (let slot = low % this.#capacity; ; slot = (slot + 1) % this.#capacity) {
      const value = slots[slot * FIELDS + 2]!
      if (value === 0) return found
      if (slots[slot * FIELDS] === high && slots[slot * FIELDS + 1] === low) found.push(value - 1)
    }
  }

  #insert(high: number, low: number, value: number): boolean {
    const slots = this.#slots
    let others = 0
    for (let slot = low % this.#capacity; ; slot = (slot + 1) % this.#capacity) {
      const at = slot * FIELDS
      const there = slots[at + 2]!
      if (there === 0) {
        slots[at] = high
        slots[at + 1] = low
        slots[at + 2] = value
        return true
      }
      if (slots[at] !== high || slots[at + 1] !== low) continue
      if (there === value || ++others === MOST) return false
    }
  }

  #grow(): void {
    const old = this.#slots
    this.#capacity *= 2
    this.#slots = new Uint32Array(this.#capacity * FIELDS)
    for (let at = 0; at < old.length; at += FIELDS) {
      if (old[at + 2] !== 0) this.#insert(old[at]!, old[at + 1]!, old[at + 2]!)
    }
  }
}

function word(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0
}
