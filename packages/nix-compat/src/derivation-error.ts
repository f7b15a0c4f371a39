/**
 * What was wrong with a derivation:
 * - `syntax`: the text is not a derivation in the one form in which Nix writes it; `position` says where
 * - `not-utf8`: a text other than an environment variable's value is not UTF-8
 * - `out-of-order`: entries are not in ascending order, or one is there twice
 * - `no-outputs`, `invalid-output`: there are no outputs; an output has a bad name, path or hash
 * - `invalid-fixed-output`: a hash is declared, but the outputs are not the single `out`
 * - `unsupported-output`: an output whose content address is found out by building (experimental in Nix)
 * - `invalid-input`: an input is not a store path, not a `.drv`, or no output of it is named
 * - `invalid-environment`: a variable without a name
 * - `output-path`: no path can be computed for the output that `output` names; the cause says why
 */
export type DerivationErrorCode =
  | 'syntax'
  | 'not-utf8'
  | 'out-of-order'
  | 'no-outputs'
  | 'invalid-output'
  | 'invalid-fixed-output'
  | 'unsupported-output'
  | 'invalid-input'
  | 'invalid-environment'
  | 'output-path'

export class DerivationError extends Error {
  override readonly name = 'DerivationError'
  readonly code: DerivationErrorCode
  readonly expected: string
  readonly actual: string
  /** Offset in bytes within the text that was parsed. */
  readonly position: number | undefined
  /** The output's name. */
  readonly output: string | undefined

  constructor(
    code: DerivationErrorCode,
    expected: string,
    actual: string,
    { position, output, cause }: { position?: number; output?: string; cause?: unknown } = {},
  ) {
    const where = `${output === undefined ? '' : ` output ${JSON.stringify(output)}`}${position === undefined ? '' : ` at byte ${position}`}`
    super(`derivation${where}: expected ${expected}, got ${actual}`, cause === undefined ? {} : { cause })
    this.code = code
    this.expected = expected
    this.actual = actual
    this.position = position
    this.output = output
  }
}
