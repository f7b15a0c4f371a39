const DIGEST = 32
const DIRECTORIES = 0x0a
const FILES = 0x12
const NODE_DIGEST = 0x12

/**
 * Finds what a directory in its encoding refers to, without making objects of it: two million are walked through in
 * seconds.
 *
 * @param visit gets the offset of each digest in `encoded`
 * @returns false where the encoding cannot be read to its end: then something may have been missed
 */
export function eachChild(
  encoded: Uint8Array,
  visit: (kind: 'directory' | 'file', at: number) => void,
): boolean {
  const end = encoded.length
  let at = 0
  let failed = false
  const varint = (): number => {
    let value = 0
    for (let scale = 1; at < end && scale <= 2 ** 49; scale *= 128) {
      const byte = encoded[at++]!
      value += (byte & 127) * scale
      if (byte < 128) return value
    }
    failed = true
    return 0
  }
  // Skips what is no digest: a number, or bytes.
  const skip = (tag: number): void => {
    const length = varint()
    if ((tag & 7) === 2) at += length
    else if ((tag & 7) !== 0) failed = true
  }
  while (at < end && !failed) {
    const tag = varint()
    if (tag !== DIRECTORIES && tag !== FILES) {
      skip(tag)
      continue
    }
    const length = varint()
    const stop = at + length
    if (stop > end) return false
    let found = -1
    while (at < stop && !failed) {
      const field = varint()
      if (field !== NODE_DIGEST) {
        skip(field)
        continue
      }
      if (varint() !== DIGEST) return false
      found = at
      at += DIGEST
    }
    if (found < 0 || at !== stop) return false
    visit(tag === DIRECTORIES ? 'directory' : 'file', found)
  }
  return !failed && at === end
}
