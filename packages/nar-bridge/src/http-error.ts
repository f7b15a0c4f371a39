/** A request that is refused: what the client is told. */
export class HttpError extends Error {
  override readonly name = 'HttpError'
  readonly code = 'refused'

  /**
   * @param status 4xx or 5xx
   * @param message for the client; shown as plain text
   * @param headers more to answer with
   */
  constructor(
    readonly status: number,
    message: string,
    readonly headers: Readonly<Record<string, string>> = {},
    options?: { readonly cause?: unknown },
  ) {
    super(message, options)
  }
}
