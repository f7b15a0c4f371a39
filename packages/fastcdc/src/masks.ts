/** A cut mask, of which only the low 48 bits are ever set, as two 32-bit words. */
export interface Mask {
  readonly low: number
  readonly high: number
}

/** Spec 02 section 8.2: the mask for 2^i, by i - 6. */
const table: readonly number[] = [
  0x1803110, 0x18035100, 0x1800035300, 0x19000353000, 0x590003530000, 0xd90003530000, 0xd90103530000,
  0xd90303530000, 0xd90313530000, 0xd90f03530000, 0xd90303537000, 0xd90703537000, 0xd90707537000,
  0xd91707537000, 0xd91747537000, 0xd91767537000, 0xd93767537000, 0xd93777537000, 0xd93777577000,
]

/**
 * The two masks for an average chunk size in bytes: `strict` before the average is reached, `loose` after it
 * (normalisation level 1, spec 02 section 8.2). The average must lie within 256 and 4 MiB.
 */
export function cutMasks(average: number): { readonly strict: Mask; readonly loose: Mask } {
  const bits = Math.round(Math.log2(average))
  return { strict: maskFor(bits + 1), loose: maskFor(bits - 1) }
}

function maskFor(bits: number): Mask {
  const mask = table[bits - 6]!
  return { low: mask % 2 ** 32, high: Math.floor(mask / 2 ** 32) }
}
