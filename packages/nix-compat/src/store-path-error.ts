/**
 * What was wrong with a store path, in the order in which it is looked for (spec 09 section 9):
 * - `missing-store-dir`: an absolute path does not begin with `/nix/store/`
 * - `invalid-length`: a base name shorter than 34 bytes, a name that is empty or longer than 211 bytes, or a digest
 *   that does not have 20 bytes
 * - `invalid-hash-encoding`: the first 32 bytes are not nixbase32
 * - `missing-dash`: byte 32 is no dash
 * - `invalid-name`: a byte that names may not have, at `position`; or one of the names that Nix keeps for itself
 */
export type StorePathErrorCode =
  | 'missing-store-dir'
  | 'invalid-length'
  | 'invalid-hash-encoding'
  | 'missing-dash'
  | 'invalid-name'

export class StorePathError extends Error {
  override readonly name = 'StorePathError'
  readonly code: StorePathErrorCode
  /** What was refused; bytes beyond ASCII are shown as if they were Latin-1. */
  readonly path: string
  readonly expected: string
  readonly actual: string
  /** With `invalid-name`: the offset in bytes of the first offending byte **within the name**. */
  readonly position: number | undefined

  constructor(
    code: StorePathErrorCode,
    init: {
      readonly path: string
      readonly expected: string
      readonly actual: string
      readonly position?: number
      readonly cause?: unknown
    },
  ) {
    const { path, expected, actual, position, cause } = init
    const shown = JSON.stringify(path.length > 300 ? `${path.slice(0, 300)}…` : path)
    super(`store path ${shown}: expected ${expected}, got ${actual}`, cause === undefined ? {} : { cause })
    this.code = code
    this.path = path
    this.expected = expected
    this.actual = actual
    this.position = position
  }
}
