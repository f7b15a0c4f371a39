/** An incremental BLAKE3-256 (unkeyed). */
export interface Blake3Hasher {
  /** Adds bytes, which are read before the call returns and never kept. */
  update(data: Uint8Array): this
  /**
   * The 32-byte digest of everything added, in an array that belongs to the caller. Once, at the end: this and `update` throw
   * `HasherFinishedError` afterwards.
   */
  digest(): Uint8Array
}

/** One implementation of BLAKE3-256 (unkeyed; spec 01 section 2). */
export interface Blake3 {
  readonly implementation: 'native' | 'wasm'
  /** The 32-byte digest of `data`, in an array that belongs to the caller. */
  digest(data: Uint8Array): Uint8Array
  /** A new incremental hasher. */
  hasher(): Blake3Hasher
}
