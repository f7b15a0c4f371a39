import { createHash } from 'node:crypto'

// Spec 02 section 8.2, word for word in big integers. Nothing of the package is used.

const WORD = 0xffffffffffffffffn

const gear = Array.from({ length: 256 }, (_, byte) =>
  createHash('md5').update(new Uint8Array(64).fill(byte)).digest().readBigUInt64BE(0),
)

const masks: Readonly<Record<number, bigint>> = {
  7: 0x18035100n,
  8: 0x1800035300n,
  9: 0x19000353000n,
  10: 0x590003530000n,
  11: 0xd90003530000n,
  12: 0xd90103530000n,
  13: 0xd90303530000n,
  14: 0xd90313530000n,
  15: 0xd90f03530000n,
  16: 0xd90303537000n,
  17: 0xd90703537000n,
  18: 0xd90707537000n,
  19: 0xd91707537000n,
  20: 0xd91747537000n,
  21: 0xd91767537000n,
  22: 0xd93767537000n,
  23: 0xd93777537000n,
}

export function referenceGear(): readonly bigint[] {
  return gear
}

export function referenceMask(bits: number): bigint {
  const mask = masks[bits]
  if (mask === undefined) throw new Error(`no mask for ${bits} bits`)
  return mask
}

export function referenceCuts(data: Uint8Array, min: number, average: number, max: number): number[] {
  const cuts: number[] = []
  for (let start = 0; start < data.length; start += cuts.at(-1)!) {
    cuts.push(cut(data.subarray(start), min, average, max))
  }
  return cuts
}

function cut(data: Uint8Array, min: number, average: number, max: number): number {
  let n = data.length
  if (n <= min) return n
  let center = average
  if (n > max) n = max
  else if (n < center) center = n
  const bits = Math.round(Math.log2(average))
  let hash = 0n
  for (let i = min & ~1; i < (n & ~1); i++) {
    hash = ((hash << 1n) + gear[data[i]!]!) & WORD
    if ((hash & referenceMask(i < (center & ~1) ? bits + 1 : bits - 1)) === 0n) return i
  }
  return n
}
