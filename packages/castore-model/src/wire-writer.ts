/** Bytes that the minimal varint of a number up to 2^53−1 takes. */
export function varintLength(value: number): number {
  if (value < 0x80) return 1
  if (value < 0x4000) return 2
  if (value < 0x20_0000) return 3
  if (value < 0x1000_0000) return 4
  let length = 5
  for (let rest = Math.floor(value / 0x8_0000_0000); rest > 0; rest = Math.floor(rest / 128)) length++
  return length
}

/** As {@link varintLength}, for a size of up to 64 bits. */
export function varintLength64(value: bigint): number {
  if (value <= 0x1f_ffff_ffff_ffffn) return varintLength(Number(value))
  let length = 7
  for (let rest = value >> 49n; rest > 0n; rest >>= 7n) length++
  return length
}

/** Writes the minimal varint of a number up to 2^53−1; gives the offset after it. */
export function writeVarint(out: Uint8Array, at: number, value: number): number {
  let rest = value
  while (rest >= 0x1000_0000) {
    out[at++] = (rest % 128) | 0x80
    rest = Math.floor(rest / 128)
  }
  while (rest >= 0x80) {
    out[at++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  out[at++] = rest
  return at
}

/** As {@link writeVarint}, for a size of up to 64 bits. */
export function writeVarint64(out: Uint8Array, at: number, value: bigint): number {
  if (value <= 0x1f_ffff_ffff_ffffn) return writeVarint(out, at, Number(value))
  let rest = value
  while (rest >= 0x80n) {
    out[at++] = Number(rest & 0x7fn) | 0x80
    rest >>= 7n
  }
  out[at++] = Number(rest)
  return at
}
