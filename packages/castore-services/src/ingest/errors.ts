import type { B3Digest, Path } from '@neve/castore-model'

/**
 * What went wrong while something was ingested (spec 06 sections 2.3 and 4).
 *
 * Of a stream of entries:
 * - `producer`: the source of the entries failed; the cause tells how
 * - `upload-directory`: an entry cannot be added, or its directory not put; the cause tells why
 * - `finalize-directory-upload`: closing the upload of the directories failed
 * - `unexpected-end-of-stream`: the stream ended before the root
 * - `root-path-entry`: an entry has the empty path
 * - `trailing-entries`: an entry follows the root
 * - `orphaned-directories`: entries lie in directories that have no entry of their own before the root
 * - `root-digest-mismatch`: the directory service closed the upload with another root
 *
 * Of blobs:
 * - `blob-read`: reading the source failed
 * - `blob-check`: asking the store whether it has the blob failed
 * - `blob-write`: the store failed while it took the bytes
 * - `blob-finalize`: the store failed to finish the blob
 * - `unexpected-size`: the source has more or fewer bytes than announced
 * - `blob-digest-mismatch`: the store gave the blob another digest than its bytes have
 */
export type IngestErrorCode =
  | 'producer'
  | 'upload-directory'
  | 'finalize-directory-upload'
  | 'unexpected-end-of-stream'
  | 'root-path-entry'
  | 'trailing-entries'
  | 'orphaned-directories'
  | 'root-digest-mismatch'
  | 'blob-read'
  | 'blob-check'
  | 'blob-write'
  | 'blob-finalize'
  | 'unexpected-size'
  | 'blob-digest-mismatch'

/** A failed ingestion. Branch on `code`. A cancelled one rejects with the reason of its signal instead. */
export class IngestError extends Error {
  override readonly name: string = 'IngestError'
  readonly code: IngestErrorCode
  /** The entry that it is about, where it is about one. */
  readonly path: Path | undefined

  constructor(
    code: IngestErrorCode,
    message: string,
    options: { readonly path?: Path | undefined; readonly cause?: unknown } = {},
  ) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined)
    this.code = code
    this.path = options.path
  }
}

/** Directories that got entries, and never an entry of their own. */
export class OrphanedDirectoriesError extends IngestError {
  override readonly name = 'OrphanedDirectoriesError'

  /** @param paths the directories, in the order in which they were first mentioned */
  constructor(readonly paths: readonly Path[]) {
    const shown = paths.slice(0, 5).map((path) => `'${path}'`)
    const more = paths.length > shown.length ? ` and ${paths.length - shown.length} more` : ''
    super(
      'orphaned-directories',
      `expected an entry for each directory, got none for ${shown.join(', ')}${more}`,
    )
  }
}

/** The source of a blob has another number of bytes than announced. */
export class UnexpectedSizeError extends IngestError {
  override readonly name = 'UnexpectedSizeError'

  /**
   * @param expected bytes announced
   * @param actual bytes read before the source ended; of one that is too long, those read until that was seen
   */
  constructor(
    path: Path,
    readonly expected: bigint,
    readonly actual: bigint,
  ) {
    const got = actual > expected ? 'more' : `${actual}`
    super('unexpected-size', `'${path}': expected ${expected} bytes, got ${got}`, { path })
  }
}

/** The store and the ingestion disagree about the digest of the same content. */
export class DigestMismatchError extends IngestError {
  override readonly name = 'DigestMismatchError'

  /**
   * @param expected what was computed here
   * @param actual what the store answered
   */
  constructor(
    code: 'root-digest-mismatch' | 'blob-digest-mismatch',
    readonly expected: B3Digest,
    readonly actual: B3Digest,
    path?: Path,
  ) {
    super(code, `${path ? `'${path}': ` : ''}expected digest ${expected}, got ${actual} from the store`, {
      path,
    })
  }
}
