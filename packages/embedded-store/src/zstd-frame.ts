const MAGIC = 0xfd2fb528
/** Bits of a frame's descriptor: a dictionary's number, a checksum, nothing yet, one segment instead of a window. */
const DICTIONARY = 3
const UNUSED = 8
const CHECKSUM = 4
const SINGLE_SEGMENT = 32
const RLE = 1
const RESERVED = 3

/**
 * Whether `bytes` are exactly one zstd frame without a dictionary, which says that it gives `length` bytes: then it may
 * stand between other frames. Nothing is expanded: only the headers of the frame and of its blocks are looked at.
 */
export function isFrameOf(bytes: Uint8Array, length: number): boolean {
  if (bytes.length < 9 || readLE(bytes, 0, 4) !== MAGIC) return false
  const descriptor = bytes[4]!
  if ((descriptor & (DICTIONARY | UNUSED)) !== 0) return false
  const single = (descriptor & SINGLE_SEGMENT) !== 0
  const at = single ? 5 : 6
  const sizeLength = [single ? 1 : 0, 2, 4, 8][descriptor >>> 6]!
  // Records are shorter than 8 bytes could say.
  if (sizeLength === 0 || sizeLength === 8) return false
  const says = readLE(bytes, at, sizeLength) + (sizeLength === 2 ? 256 : 0)
  if (says !== length) return false
  const end = endOfBlocks(bytes, at + sizeLength)
  return end + ((descriptor & CHECKSUM) === 0 ? 0 : 4) === bytes.length
}

/** The position behind the last block, or NaN where there is none. */
function endOfBlocks(bytes: Uint8Array, first: number): number {
  for (let at = first; at + 3 <= bytes.length; ) {
    const header = readLE(bytes, at, 3)
    const type = (header >>> 1) & 3
    if (type === RESERVED) break
    at += 3 + (type === RLE ? 1 : header >>> 3)
    if ((header & 1) === 1) return at
  }
  return Number.NaN
}

function readLE(bytes: Uint8Array, at: number, length: number): number {
  let value = 0
  for (let index = length - 1; index >= 0; index--) value = value * 256 + bytes[at + index]!
  return value
}
