/** What every call that waits understands. */
export interface CallOptions {
  /** Ends the call: it rejects with the signal's reason. Default: the call runs to its end. */
  readonly signal?: AbortSignal | undefined
}
