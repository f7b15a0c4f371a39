import type { Long } from 'protobufjs'
import { checkU64 } from './u64.js'

/**
 * Generated message classes of both generations, equal messages with other package names (spec 01 section 7), and of our
 * own services. For transports only.
 */
export { neve, snix, tvix } from './generated/castore-proto.js'

/** A uint64 as the generated code holds it: exact, as two halves of 32 bits. */
export type Uint64 = number | Long

/** The value of a uint64 field of a generated message. */
export function fromUint64(value: Uint64): bigint {
  if (typeof value === 'number') return BigInt(value)
  return (BigInt(value.high >>> 0) << 32n) | BigInt(value.low >>> 0)
}

/**
 * A value for a uint64 field of a generated message, which would write a bigint as 0 without a word. Throws `InvalidSizeError`
 * outside 0 … 2^64−1.
 */
export function toUint64(value: bigint): Long {
  checkU64(value)
  return { low: Number(value & 0xffff_ffffn) | 0, high: Number(value >> 32n) | 0, unsigned: true }
}
