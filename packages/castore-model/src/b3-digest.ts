import { fromBase64, toBase64 } from './base64.js'
import { blake3 } from './blake3.js'
import { compareBytes, latin1Of32 } from './bytes.js'
import { InvalidDigestLengthError, InvalidDigestTextError } from './errors.js'

const LENGTH = 32
const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

function bytesFromHex(text: string): Uint8Array {
  const out = new Uint8Array(LENGTH)
  for (let i = 0; i < LENGTH; i++) out[i] = Number.parseInt(text.slice(2 * i, 2 * i + 2), 16)
  return out
}

/** A BLAKE3-256 digest: 32 bytes, immutable (spec 01 section 2). */
export class B3Digest {
  static readonly LENGTH = LENGTH

  /** The digest of zero bytes: of the empty blob and of the empty directory. */
  static readonly EMPTY: B3Digest = B3Digest.parse(
    'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262',
  )

  /** The 32 bytes. Do not modify them. */
  readonly bytes: Uint8Array
  #key: string | undefined

  private constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }

  /** A digest with a copy of these bytes. Throws `InvalidDigestLengthError` unless there are 32. */
  static from(bytes: Uint8Array): B3Digest {
    if (bytes.length !== LENGTH) throw new InvalidDigestLengthError(bytes.length)
    return new B3Digest(new Uint8Array(bytes))
  }

  /**
   * As {@link from} without copying: the array belongs to the digest from now on. A view keeps the whole buffer below it alive.
   */
  static adopt(bytes: Uint8Array): B3Digest {
    if (bytes.length !== LENGTH) throw new InvalidDigestLengthError(bytes.length)
    return new B3Digest(bytes)
  }

  /** The BLAKE3 of `content`. */
  static of(content: Uint8Array): B3Digest {
    return new B3Digest(blake3.digest(content))
  }

  /**
   * Reads `b3:` or `blake3-` followed by standard base64 with padding, or 64 hex digits of either case. Throws
   * `InvalidDigestTextError` for anything else, text with surrounding space or unused base64 bits included.
   */
  static parse(text: string): B3Digest {
    if (/^[0-9a-fA-F]{64}$/.test(text) && text.length === 64) return new B3Digest(bytesFromHex(text))
    const prefix = text.startsWith('b3:') ? 3 : text.startsWith('blake3-') ? 7 : 0
    if (prefix === 0) throw new InvalidDigestTextError(text, 'unknown form')
    if (text.length !== prefix + 44) {
      throw new InvalidDigestTextError(text, `${text.length - prefix} characters of base64`)
    }
    const bytes = fromBase64(text.slice(prefix))
    if (bytes === undefined) throw new InvalidDigestTextError(text, 'not canonical base64')
    if (bytes.length !== LENGTH) throw new InvalidDigestTextError(text, `${bytes.length} bytes`)
    return new B3Digest(bytes)
  }

  /** Bytewise order. */
  static compare(a: B3Digest, b: B3Digest): number {
    return compareBytes(a.bytes, b.bytes)
  }

  /** Whether both are the same 32 bytes. */
  equals(other: B3Digest): boolean {
    return this === other || compareBytes(this.bytes, other.bytes) === 0
  }

  /** 32 characters that equal another digest's exactly when the digests are equal. For `Map` keys; not printable. */
  get key(): string {
    this.#key ??= latin1Of32(this.bytes)
    return this.#key
  }

  /** `b3:` and 44 characters of base64. */
  toString(): string {
    return `b3:${toBase64(this.bytes)}`
  }

  /** `blake3-` and 44 characters of base64, as Nix writes it. */
  toSri(): string {
    return `blake3-${toBase64(this.bytes)}`
  }

  /** 64 lower-case hex digits. */
  toHex(): string {
    let out = ''
    for (const byte of this.bytes) out += HEX[byte]!
    return out
  }

  /** 44 characters of standard base64. */
  toBase64(): string {
    return toBase64(this.bytes)
  }

  /** 43 characters of URL- and file-name-safe base64, without padding. */
  toBase64Url(): string {
    return toBase64(this.bytes).slice(0, -1).replaceAll('+', '-').replaceAll('/', '_')
  }

  toJSON(): string {
    return this.toSri()
  }
}
