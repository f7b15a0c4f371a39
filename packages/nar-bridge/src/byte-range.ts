/** The part of something that a client asks for: from byte `start` to `end`, which is not part of it. */
export interface RequestedRange {
  readonly start: bigint
  readonly end: bigint
}

/** Longer headers are not read. */
const MAX_LENGTH = 128

/**
 * Reads a `Range` header (RFC 9110 section 14.2): `bytes=0-99`, `bytes=100-`, `bytes=-100`.
 *
 * @param size of the whole, in bytes
 * @returns undefined for what is to be passed over: another unit, several ranges, what is no range; `unsatisfiable` for
 *   a range with nothing in it
 */
export function parseRange(header: string, size: bigint): RequestedRange | 'unsatisfiable' | undefined {
  if (header.length > MAX_LENGTH) return undefined
  const parts = /^bytes=[ \t]*(\d*)-(\d*)[ \t]*$/i.exec(header)
  if (parts === null) return undefined
  const [, first, last] = parts as unknown as [string, string, string]
  if (first === '') {
    if (last === '') return undefined
    const length = BigInt(last)
    if (length === 0n || size === 0n) return 'unsatisfiable'
    return { start: length < size ? size - length : 0n, end: size }
  }
  const start = BigInt(first)
  if (last !== '' && BigInt(last) < start) return undefined
  if (start >= size) return 'unsatisfiable'
  const end = last === '' ? size : BigInt(last) + 1n
  return { start, end: end < size ? end : size }
}
