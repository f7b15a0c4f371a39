import { CastoreError } from '../errors.js'

/**
 * Checks the arguments of a positional read, and says how many bytes it can give.
 *
 * @returns `length`, or what is left of the blob from `offset` on
 * @throws CastoreError `invalid-input` as `BlobReader.readAt` documents
 */
export function readableLength(size: bigint, offset: bigint, length: number): number {
  if (!Number.isSafeInteger(length) || length < 0) {
    throw new CastoreError('invalid-input', `invalid length: expected a non-negative integer, got ${length}`)
  }
  if (offset < 0n || offset > size) {
    throw new CastoreError('invalid-input', `invalid offset: expected 0 to ${size}, got ${offset}`)
  }
  const left = size - offset
  return left < BigInt(length) ? Number(left) : length
}
