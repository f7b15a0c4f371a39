const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
const CODES = Uint8Array.from(ALPHABET, (char) => char.charCodeAt(0))
const VALUES = new Uint8Array(128).fill(255)
for (let i = 0; i < 64; i++) VALUES[CODES[i]!] = i

/** Standard base64 with padding (RFC 4648 section 4). */
export function toBase64(bytes: Uint8Array): string {
  let out = ''
  let at = 0
  for (; at + 2 < bytes.length; at += 3) {
    const word = (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!
    out +=
      ALPHABET[word >> 18]! +
      ALPHABET[(word >> 12) & 63]! +
      ALPHABET[(word >> 6) & 63]! +
      ALPHABET[word & 63]!
  }
  if (at + 1 === bytes.length) {
    const word = bytes[at]!
    out += `${ALPHABET[word >> 2]!}${ALPHABET[(word & 3) << 4]!}==`
  } else if (at + 2 === bytes.length) {
    const word = (bytes[at]! << 8) | bytes[at + 1]!
    out += `${ALPHABET[word >> 10]!}${ALPHABET[(word >> 4) & 63]!}${ALPHABET[(word & 15) << 2]!}=`
  }
  return out
}

/** The bytes of standard, padded base64; undefined unless `text` is exactly what {@link toBase64} writes for them. */
export function fromBase64(text: string): Uint8Array | undefined {
  if (text.length % 4 !== 0) return undefined
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0
  const digits = text.length - padding
  const out = new Uint8Array((text.length / 4) * 3 - padding)
  let word = 0
  let bits = 0
  let length = 0
  for (let i = 0; i < digits; i++) {
    const code = text.charCodeAt(i)
    const value = code < 128 ? VALUES[code]! : 255
    if (value === 255) return undefined
    word = ((word << 6) | value) & 0xfff
    bits += 6
    if (bits >= 8) {
      bits -= 8
      out[length++] = word >> bits
    }
  }
  const leftover = word & ((1 << bits) - 1)
  return leftover === 0 ? out : undefined
}
