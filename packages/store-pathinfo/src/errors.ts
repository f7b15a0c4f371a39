/** What went wrong, for a program to branch on. */
export type StoreErrorCode =
  /** A name cannot be part of a store path. */
  | 'invalid-name'
  /** An argument is out of range. */
  | 'invalid-input'
  /** A file with a secret key cannot be read or understood. */
  | 'invalid-key'
  /** An address of a store, a store path or a digest cannot be understood. */
  | 'invalid-address'
  /** A path info is not valid (spec 07 section 4.1): `reason` says how. */
  | 'invalid-path-info'
  /** Nothing in the store has this store path, digest or path. */
  | 'not-found'
  /** A directory that another one references is not in the store. */
  | 'directory-not-found'
  /** A blob that a file node references is not in the store. */
  | 'blob-not-found'
  /** A blob has another length than its file node says. */
  | 'wrong-size'
  /** The path info that is stored names other contents. */
  | 'already-exists'
  /** A path info was put whose contents are not stored. */
  | 'contents-missing'
  /** A path was not stored because one that it references could not be. */
  | 'reference-missing'
  /** A NAR has another size, hash or content address than was expected: `reason` says which. */
  | 'nar-mismatch'
  /** A NAR, or a path info, is larger than allowed. */
  | 'too-large'
  /** An upstream cache gave an answer that cannot be used: `reason` says what is wrong with it. */
  | 'upstream'
  /** What an upstream cache says is not signed by a key that is trusted. */
  | 'untrusted'
  /** The service does not do this: it is read-only, or cannot list. */
  | 'unsupported'
  /** A backend did what it must not do. */
  | 'storage'
  /** Stored content is damaged. */
  | 'data-loss'

/** The error class of this package. Errors of the services below pass through it unchanged. */
export class StoreError extends Error {
  override readonly name: string = 'StoreError'

  /** @param reason with `invalid-path-info`, the condition of spec 07 section 4.1 */
  constructor(
    readonly code: StoreErrorCode,
    message: string,
    readonly reason?: string,
    options?: { readonly cause?: unknown },
  ) {
    super(message, options)
  }
}
