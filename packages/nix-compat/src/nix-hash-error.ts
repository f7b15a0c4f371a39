/**
 * What was wrong with a hash:
 * - `unknown-algorithm`: the text names an algorithm other than md5, sha1, sha256, sha512
 * - `missing-algorithm`: a bare digest, and no algorithm was given from outside
 * - `algorithm-mismatch`: the text names another algorithm than the one given from outside
 * - `invalid-length`: no encoding of the algorithm's digests has that length
 * - `invalid-encoding`: the digest's length fits an encoding, its characters do not
 * - `several-hashes`: an SRI text with more than one hash
 */
export type NixHashErrorCode =
  | 'unknown-algorithm'
  | 'missing-algorithm'
  | 'algorithm-mismatch'
  | 'invalid-length'
  | 'invalid-encoding'
  | 'several-hashes'

export class NixHashError extends Error {
  override readonly name = 'NixHashError'
  readonly code: NixHashErrorCode
  readonly expected: string
  readonly actual: string

  constructor(code: NixHashErrorCode, expected: string, actual: string, options?: ErrorOptions) {
    super(`hash: expected ${expected}, got ${actual}`, options)
    this.code = code
    this.expected = expected
    this.actual = actual
  }
}
