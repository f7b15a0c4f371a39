import { digestSize, HASH_ALGORITHMS, type HashAlgorithm, isHashAlgorithm } from './hash-algorithm.js'
import { NixHash } from './nix-hash.js'
import { decodeNixbase32, Nixbase32Error } from './nixbase32.js'

/**
 * What the hash of a content address is computed over: `text` and `flat` over the bytes of one file, `recursive` over
 * the NAR. `text` objects may have references, and are named differently.
 */
export type ContentAddressMethod = 'text' | 'flat' | 'recursive'

/**
 * What was wrong with a content address:
 * - `unknown-method`: neither `text:` nor `fixed:` at the beginning
 * - `unknown-algorithm`: an algorithm that does not exist, or one that `text` does not take
 * - `invalid-digest`: not nixbase32 of the algorithm's length
 */
export type ContentAddressErrorCode = 'unknown-method' | 'unknown-algorithm' | 'invalid-digest'

export class ContentAddressError extends Error {
  override readonly name = 'ContentAddressError'
  readonly code: ContentAddressErrorCode
  readonly expected: string
  readonly actual: string

  constructor(code: ContentAddressErrorCode, expected: string, actual: string, options?: ErrorOptions) {
    super(`content address: expected ${expected}, got ${JSON.stringify(actual.slice(0, 200))}`, options)
    this.code = code
    this.expected = expected
    this.actual = actual
  }
}

/** How an object's name follows from its contents (spec 09 section 12.1, spec 07 section 2.5). Immutable. */
export class ContentAddress {
  readonly method: ContentAddressMethod
  readonly hash: NixHash

  /** @throws ContentAddressError `unknown-algorithm` for a text with anything but SHA-256 */
  constructor(method: ContentAddressMethod, hash: NixHash) {
    if (method === 'text' && hash.algorithm !== 'sha256') {
      throw new ContentAddressError('unknown-algorithm', 'sha256 for text', hash.algorithm)
    }
    this.method = method
    this.hash = hash
  }

  /**
   * Reads `text:sha256:<digest>`, `fixed:<algorithm>:<digest>` or `fixed:r:<algorithm>:<digest>`, the digest in
   * nixbase32 of exact length.
   *
   * @throws ContentAddressError
   */
  static parse(text: string): ContentAddress {
    const match = /^(text:|fixed:r:|fixed:)(.*)$/s.exec(text)
    if (match === null) {
      throw new ContentAddressError('unknown-method', 'text:…, fixed:… or fixed:r:…', text)
    }
    const [, prefix, remainder] = match as unknown as [string, 'text:' | 'fixed:' | 'fixed:r:', string]
    const colon = remainder.indexOf(':')
    const algorithm = colon < 0 ? remainder : remainder.slice(0, colon)
    const digits = colon < 0 ? '' : remainder.slice(colon + 1)
    if (!isHashAlgorithm(algorithm)) {
      throw new ContentAddressError('unknown-algorithm', `one of ${HASH_ALGORITHMS.join(', ')}`, algorithm)
    }
    const method = prefix === 'text:' ? 'text' : prefix === 'fixed:' ? 'flat' : 'recursive'
    return new ContentAddress(method, new NixHash(algorithm, decodeDigest(algorithm, digits)))
  }

  /** The text that narinfo files and Nix's database have. */
  toString(): string {
    const prefix = { text: 'text:', flat: 'fixed:', recursive: 'fixed:r:' }[this.method]
    return prefix + this.hash.toNix()
  }

  toJSON(): string {
    return this.toString()
  }

  equals(other: ContentAddress): boolean {
    return this.method === other.method && this.hash.equals(other.hash)
  }
}

function decodeDigest(algorithm: HashAlgorithm, digits: string): Uint8Array {
  try {
    return decodeNixbase32(digits, digestSize(algorithm))
  } catch (error) {
    if (!(error instanceof Nixbase32Error)) throw error
    throw new ContentAddressError('invalid-digest', `${algorithm} in nixbase32`, digits, { cause: error })
  }
}
