/** Whoever read the output has stopped: no failure, but nothing more to do either. */
export class OutputClosedError extends Error {
  override readonly name = 'OutputClosedError'
  readonly code = 'output-closed'

  constructor(options?: { readonly cause?: unknown }) {
    super('the output was closed by its reader', options)
  }
}

/** The output could not be written. */
export class OutputError extends Error {
  override readonly name = 'OutputError'
  readonly code = 'output'

  /** @param target what was written to, in words for a person */
  constructor(
    readonly target: string,
    reason: string,
    options?: { readonly cause?: unknown },
  ) {
    super(`cannot write to ${target}: ${reason}`, options)
  }
}
