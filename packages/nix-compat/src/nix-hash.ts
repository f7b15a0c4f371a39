import { digest } from '#digest'
import { decodeBase64, encodeBase64 } from './base64.js'
import { digestSize, HASH_ALGORITHMS, type HashAlgorithm, isHashAlgorithm } from './hash-algorithm.js'
import { decodeHex, encodeHex } from './hex.js'
import { NixHashError } from './nix-hash-error.js'
import { decodeNixbase32, encodeNixbase32, Nixbase32Error, nixbase32Length } from './nixbase32.js'

/** An algorithm and a digest of it (spec 09 section 8.2). */
export class NixHash {
  readonly algorithm: HashAlgorithm
  /** The digest. It belongs to this object: do not write to it. */
  readonly digest: Uint8Array

  /**
   * @param digest copied; its length must be the algorithm's
   * @throws NixHashError `invalid-length`
   */
  constructor(algorithm: HashAlgorithm, digest: Uint8Array) {
    if (digest.length !== digestSize(algorithm)) {
      throw new NixHashError(
        'invalid-length',
        `${digestSize(algorithm)} bytes for ${algorithm}`,
        `${digest.length} bytes`,
      )
    }
    this.algorithm = algorithm
    this.digest = new Uint8Array(digest)
  }

  /** The hash of some bytes. */
  static of(algorithm: HashAlgorithm, bytes: Uint8Array): NixHash {
    return new NixHash(algorithm, digest(algorithm, bytes))
  }

  /**
   * Reads `<algorithm>:<digest>`, an SRI text, or a bare digest (spec 09 section 8.2). The digest is hex of either
   * case, nixbase32, or standard base64 with padding, told apart by its length.
   *
   * @param algorithm required for a bare digest; must agree with an algorithm in the text
   * @throws NixHashError
   */
  static parse(text: string, algorithm?: HashAlgorithm): NixHash {
    const colon = text.indexOf(':')
    if (colon >= 0) {
      const inline = agreed(text.slice(0, colon), algorithm)
      return new NixHash(inline, decodeDigest(inline, text.slice(colon + 1)))
    }
    // Neither of the encodings has a dash.
    if (text.includes('-')) return NixHash.parseSri(text, algorithm)
    if (algorithm === undefined) {
      throw new NixHashError('missing-algorithm', 'an algorithm before the digest', quoted(text))
    }
    return new NixHash(algorithm, decodeDigest(algorithm, text))
  }

  /**
   * Reads a subresource-integrity text, `<algorithm>-<base64>`: exactly one hash, without options. Padding may be
   * left out, here only (spec 09 section 8.2).
   *
   * @param algorithm must agree with the text's, when given
   * @throws NixHashError
   */
  static parseSri(text: string, algorithm?: HashAlgorithm): NixHash {
    if (/\s/.test(text.trim())) {
      throw new NixHashError('several-hashes', 'a single hash', quoted(text))
    }
    const dash = text.indexOf('-')
    if (dash < 0) throw new NixHashError('missing-algorithm', '<algorithm>-<base64>', quoted(text))
    const inline = agreed(text.slice(0, dash), algorithm)
    const encoded = text.slice(dash + 1)
    const padded = base64Length(inline)
    const unpadded = Math.ceil((digestSize(inline) * 4) / 3)
    if (encoded.length !== padded && encoded.length !== unpadded) {
      throw new NixHashError(
        'invalid-length',
        `${padded} characters of base64 for ${inline}`,
        `${encoded.length}`,
      )
    }
    const decoded = decodeBase64(encoded, { padding: 'optional' })
    if (decoded === undefined) throw new NixHashError('invalid-encoding', 'base64', quoted(encoded))
    return new NixHash(inline, decoded)
  }

  /** `<algorithm>:<nixbase32>`, as in narinfo files and content addresses. */
  toNix(): string {
    return `${this.algorithm}:${this.toNixbase32()}`
  }

  /** `<algorithm>-<base64>`. */
  toSri(): string {
    return `${this.algorithm}-${this.toBase64()}`
  }

  /** The digest alone in lower-case hex, as in fingerprints. */
  toHex(): string {
    return encodeHex(this.digest)
  }

  toNixbase32(): string {
    return encodeNixbase32(this.digest)
  }

  /** The digest alone in standard base64 with padding. */
  toBase64(): string {
    return encodeBase64(this.digest)
  }

  /** Same as `toNix`. */
  toString(): string {
    return this.toNix()
  }

  toJSON(): string {
    return this.toSri()
  }

  equals(other: NixHash): boolean {
    return this.algorithm === other.algorithm && this.digest.every((byte, i) => byte === other.digest[i])
  }
}

function agreed(inline: string, outside: HashAlgorithm | undefined): HashAlgorithm {
  if (!isHashAlgorithm(inline)) {
    throw new NixHashError('unknown-algorithm', `one of ${HASH_ALGORITHMS.join(', ')}`, quoted(inline))
  }
  if (outside !== undefined && outside !== inline) {
    throw new NixHashError('algorithm-mismatch', outside, inline)
  }
  return inline
}

function decodeDigest(algorithm: HashAlgorithm, text: string): Uint8Array {
  const size = digestSize(algorithm)
  switch (text.length) {
    case 2 * size:
      return decodeHex(text) ?? badEncoding('hex', text)
    case nixbase32Length(size):
      try {
        return decodeNixbase32(text, size)
      } catch (error) {
        if (error instanceof Nixbase32Error) return badEncoding('nixbase32', text, error)
        throw error
      }
    case base64Length(algorithm):
      return decodeBase64(text) ?? badEncoding('base64', text)
    default:
      throw new NixHashError(
        'invalid-length',
        `${2 * size} characters of hex, ${nixbase32Length(size)} of nixbase32 or ${base64Length(algorithm)} of base64 for ${algorithm}`,
        `${text.length}`,
      )
  }
}

function base64Length(algorithm: HashAlgorithm): number {
  return 4 * Math.ceil(digestSize(algorithm) / 3)
}

function badEncoding(encoding: string, text: string, cause?: Error): never {
  throw new NixHashError('invalid-encoding', encoding, quoted(text), cause && { cause })
}

function quoted(text: string): string {
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}…` : text)
}
