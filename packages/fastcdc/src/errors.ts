/**
 * What was wrong:
 * - `average-out-of-range`: the average chunk size is not a whole number of bytes within the limits
 * - `minimum-out-of-range`, `maximum-out-of-range`: the same for the other two sizes
 * - `sizes-out-of-order`: not minimum <= average <= maximum
 * - `invalid-range`: `cut` was asked about bytes outside the array it was given
 */
export type FastCdcErrorCode =
  | 'average-out-of-range'
  | 'minimum-out-of-range'
  | 'maximum-out-of-range'
  | 'sizes-out-of-order'
  | 'invalid-range'

/** The only error this package throws by itself. `expected` and `actual` are made for people. */
export class FastCdcError extends Error {
  override readonly name = 'FastCdcError'
  readonly code: FastCdcErrorCode
  readonly expected: string
  readonly actual: string

  constructor(code: FastCdcErrorCode, subject: string, expected: string, actual: string) {
    super(`${subject}: expected ${expected}, got ${actual}`)
    this.code = code
    this.expected = expected
    this.actual = actual
  }
}
