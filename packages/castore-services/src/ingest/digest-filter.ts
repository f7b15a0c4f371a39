/** Bits of the filter: one entry in a thousand is taken for another where there are 100,000, one in ten where a million. */
const BITS = 2 ** 22
const PROBES = 3

/**
 * Remembers digests in half a MiB, however many: what it says is new is new, what it does not may be. Digests are as good
 * as random, so their own bytes say which bits are theirs.
 */
export class DigestFilter {
  readonly #bits = new Uint8Array(BITS / 8)

  /** Adds the digest at `at`. @returns whether it is new for sure */
  add(bytes: Uint8Array, at: number): boolean {
    let isNew = false
    for (let probe = 0; probe < PROBES; probe++) {
      const from = at + 4 * probe
      const bit = (bytes[from]! | (bytes[from + 1]! << 8) | (bytes[from + 2]! << 16)) % BITS
      const mask = 1 << (bit & 7)
      const byte = this.#bits[bit >>> 3]!
      if ((byte & mask) !== 0) continue
      this.#bits[bit >>> 3] = byte | mask
      isNew = true
    }
    return isNew
  }
}
