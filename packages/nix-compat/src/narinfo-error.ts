/**
 * What was wrong with a narinfo text (spec 07 section 10.3):
 * - `too-long`: more bytes than allowed
 * - `invalid-line`: not `Key: value`, or no line end after it, or not UTF-8
 * - `duplicate-field`: a key other than `Sig` is there again
 * - `missing-field`: one that is mandatory is not there
 * - `empty-field`: a value is empty that must not be
 * - `invalid-field`: a value cannot be understood; the cause often tells more
 */
export type NarInfoErrorCode =
  | 'too-long'
  | 'invalid-line'
  | 'duplicate-field'
  | 'missing-field'
  | 'empty-field'
  | 'invalid-field'

export class NarInfoError extends Error {
  override readonly name = 'NarInfoError'
  readonly code: NarInfoErrorCode
  /** The key that it is about, if it is about one. */
  readonly field: string | undefined
  /** The line, counted from 1. */
  readonly line: number | undefined

  constructor(
    code: NarInfoErrorCode,
    detail: string,
    init: { readonly field?: string; readonly line?: number | undefined; readonly cause?: unknown } = {},
  ) {
    const { field, line, cause } = init
    const where = line === undefined ? 'narinfo' : `narinfo, line ${line}`
    super(
      `${where}: ${field === undefined ? '' : `${field}: `}${detail}`,
      cause === undefined ? undefined : { cause },
    )
    this.code = code
    this.field = field
    this.line = line
  }
}
