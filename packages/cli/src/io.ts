/** Where results go. */
export interface Output {
  /** Whether a person looks at it directly. */
  readonly isTerminal: boolean

  /**
   * Takes text or bytes; settles when it can take more.
   *
   * @param data may be changed once the promise has settled
   * @throws OutputClosedError when nobody reads any more
   */
  write(data: Uint8Array | string): Promise<void>

  /** Settles when everything has been handed on. */
  flush(): Promise<void>
}

/** Where messages and progress go. */
export interface ErrorStream {
  readonly isTerminal: boolean
  write(text: string): void
  /** What progress bars are drawn on. Default: no bars. */
  readonly stream?: NodeJS.WritableStream | undefined
}

/** What a command talks to. */
export interface Io {
  /** What is read where an argument is `-`. Default: nothing can be. */
  readonly stdin?: AsyncIterable<Uint8Array> | undefined
  readonly stdout: Output
  readonly stderr: ErrorStream
  /** Fires when the user wants it to stop. */
  readonly signal: AbortSignal
  /** Show stack traces. Default: false. */
  readonly debug?: boolean | undefined
}
