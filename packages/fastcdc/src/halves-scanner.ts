import { gearWords } from './gear.js'
import type { Mask } from './masks.js'
import type { Scanner } from './scanner.js'

/**
 * The rolling hash in plain JavaScript. No mask reaches beyond bit 47 and carries only go upward, so the hash is
 * kept modulo 2^48 in two halves of 24 bits, which stay within the integers that engines keep in registers.
 */
export class HalvesScanner implements Scanner {
  readonly #gearLow = new Int32Array(256)
  readonly #gearHigh = new Int32Array(256)
  #low = 0
  #high = 0

  constructor() {
    const words = gearWords()
    for (let entry = 0; entry < 256; entry++) {
      const { low, high } = halves(words[2 * entry]!, words[2 * entry + 1]!)
      this.#gearLow[entry] = low
      this.#gearHigh[entry] = high
    }
  }

  reset(): void {
    this.#low = 0
    this.#high = 0
  }

  find(data: Uint8Array, from: number, to: number, mask: Mask): number {
    const gearLow = this.#gearLow
    const gearHigh = this.#gearHigh
    const wanted = halves(mask.low, mask.high)
    let low = this.#low
    let high = this.#high
    for (let i = from; i < to; i++) {
      const byte = data[i]!
      low = (low << 1) + gearLow[byte]!
      high = ((high << 1) + gearHigh[byte]! + (low >>> 24)) & 0xffffff
      low &= 0xffffff
      if ((low & wanted.low) === 0 && (high & wanted.high) === 0) return i
    }
    this.#low = low
    this.#high = high
    return -1
  }
}

function halves(low: number, high: number): { low: number; high: number } {
  return { low: low & 0xffffff, high: ((low >>> 24) | (high << 8)) & 0xffffff }
}
