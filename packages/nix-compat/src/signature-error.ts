/**
 * What was wrong with a signature or key:
 * - `missing-separator`: no colon between name and data
 * - `invalid-name`: the name is empty, too long, or has a colon, blanks or control characters
 * - `invalid-encoding`: what follows the colon is not standard base64 with padding
 * - `invalid-length`: the data has another length than such signatures or keys have
 * - `invalid-key`: not a usable public key, or a secret key whose public half belongs to another
 */
export type SignatureErrorCode =
  | 'missing-separator'
  | 'invalid-name'
  | 'invalid-encoding'
  | 'invalid-length'
  | 'invalid-key'

/** A signature or key that cannot be one. The message never has anything of a secret key in it. */
export class SignatureError extends Error {
  override readonly name = 'SignatureError'
  readonly code: SignatureErrorCode
  readonly expected: string
  readonly actual: string

  constructor(code: SignatureErrorCode, what: string, expected: string, actual: string) {
    super(`${what}: expected ${expected}, got ${actual}`)
    this.code = code
    this.expected = expected
    this.actual = actual
  }
}
