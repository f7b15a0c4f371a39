import { InvalidSizeError } from './errors.js'

export const MAX_U64 = 0xffff_ffff_ffff_ffffn

export function isU64(size: bigint): boolean {
  return typeof size === 'bigint' && size >= 0n && size <= MAX_U64
}

/** Throws `InvalidSizeError` unless `size` is a bigint from 0 to 2^64−1. */
export function checkU64(size: bigint): void {
  if (!isU64(size)) throw new InvalidSizeError(size)
}
