/** Nix's own base 32 alphabet, values 0 to 31 in order: e, o, t and u are missing. */
export const NIXBASE32_ALPHABET = '0123456789abcdfghijklmnpqrsvwxyz'

const INVALID = 255
const values = new Uint8Array(128).fill(INVALID)
for (const [value, character] of [...NIXBASE32_ALPHABET].entries()) values[character.charCodeAt(0)] = value

/**
 * What was wrong with a nixbase32 text:
 * - `invalid-character`: outside the alphabet, upper case included; `position` says where
 * - `invalid-length`: not the length that the wanted number of bytes has
 * - `nonzero-carry`: bits are set that do not fit the output
 */
export type Nixbase32ErrorCode = 'invalid-character' | 'invalid-length' | 'nonzero-carry'

export class Nixbase32Error extends Error {
  override readonly name = 'Nixbase32Error'
  readonly code: Nixbase32ErrorCode
  /** The text that was refused. */
  readonly text: string
  /** Index of the offending character, counted from the left. */
  readonly position: number | undefined

  constructor(code: Nixbase32ErrorCode, message: string, text: string, position?: number) {
    super(message)
    this.code = code
    this.text = text
    this.position = position
  }
}

/** The number of characters that `bytes` bytes take. */
export function nixbase32Length(bytes: number): number {
  return Math.ceil((bytes * 8) / 5)
}

/** The bytes, read as one little-endian number, in base 32, most significant digit first (spec 09 section 8.1). */
export function encodeNixbase32(bytes: Uint8Array): string {
  let text = ''
  for (let k = nixbase32Length(bytes.length) - 1; k >= 0; k--) {
    const bit = 5 * k
    const i = bit >> 3
    const pair = bytes[i]! | ((bytes[i + 1] ?? 0) << 8)
    text += NIXBASE32_ALPHABET[(pair >> (bit & 7)) & 31]!
  }
  return text
}

/**
 * The bytes of a nixbase32 text, in an array of its own (spec 09 section 8.1): m characters give floor(5m / 8) bytes.
 *
 * @param size the number of bytes that must come out; without it any length is taken
 * @throws Nixbase32Error
 */
export function decodeNixbase32(text: string, size?: number): Uint8Array {
  if (size !== undefined && text.length !== nixbase32Length(size)) {
    throw new Nixbase32Error(
      'invalid-length',
      `nixbase32 of ${size} bytes: expected ${nixbase32Length(size)} characters, got ${text.length}`,
      text,
    )
  }
  const bytes = new Uint8Array(size ?? Math.floor((text.length * 5) / 8))
  for (let k = 0; k < text.length; k++) {
    const position = text.length - 1 - k
    const value = values[text.charCodeAt(position)] ?? INVALID
    if (value === INVALID) {
      throw new Nixbase32Error(
        'invalid-character',
        `nixbase32: expected a character of ${NIXBASE32_ALPHABET}, got ${JSON.stringify(text[position])} at ${position}`,
        text,
        position,
      )
    }
    const bit = 5 * k
    const i = bit >> 3
    const shifted = value << (bit & 7)
    const [low, high] = [shifted & 0xff, shifted >> 8]
    if ((low !== 0 && i >= bytes.length) || (high !== 0 && i + 1 >= bytes.length)) {
      throw new Nixbase32Error(
        'nonzero-carry',
        `nixbase32: expected zero bits beyond the last of ${bytes.length} bytes, got ${JSON.stringify(text)}`,
        text,
        position,
      )
    }
    if (i < bytes.length) bytes[i]! |= low
    if (i + 1 < bytes.length) bytes[i + 1]! |= high
  }
  return bytes
}
