import type { B3Digest } from '@neve/castore-model'

/**
 * What went wrong, for programs. A code never changes its meaning; messages are for people and may change.
 *
 * - `invalid-input`: an argument is out of range (a negative offset, a seek past the end)
 * - `invalid-request`: what was asked for cannot be stored or answered as it is (a malformed upload)
 * - `not-found`: something that has to be there is not; a plain miss is `undefined`, not an error
 * - `data-loss`: stored content is damaged or a part of it is missing
 * - `storage`: the backend failed; the cause tells how
 * - `closed`: the reader, writer, putter or service was closed before
 * - `empty`: an upload of directories was closed without any
 * - `order`: a directory came before one that has to come first, or was not asked for
 * - `size`: a directory is referenced with a size it does not have
 * - `disconnected`: an upload has more than one root
 * - `incomplete`: a closure lacks a directory that it references, or a chunk list names a chunk that is not stored
 * - `unsupported`: the service cannot do this at all
 * - `unavailable`: the backend cannot be reached now; trying again may help
 * - `too-large`: the content is larger than the caller's or the service's limit
 * - `aborted`: the writer or putter was aborted before
 */
export type CastoreErrorCode =
  | 'invalid-input'
  | 'invalid-request'
  | 'not-found'
  | 'data-loss'
  | 'storage'
  | 'closed'
  | 'empty'
  | 'order'
  | 'size'
  | 'disconnected'
  | 'incomplete'
  | 'unsupported'
  | 'unavailable'
  | 'too-large'
  | 'aborted'

/** The two kinds that the wire protocol knows (spec 01 section 9.2): the caller's mistake, or the store's trouble. */
export type CastoreErrorKind = 'InvalidRequest' | 'StorageError'

const KINDS: Readonly<Record<CastoreErrorCode, CastoreErrorKind>> = {
  'invalid-input': 'InvalidRequest',
  'invalid-request': 'InvalidRequest',
  'not-found': 'StorageError',
  'data-loss': 'StorageError',
  storage: 'StorageError',
  closed: 'InvalidRequest',
  empty: 'InvalidRequest',
  order: 'InvalidRequest',
  size: 'InvalidRequest',
  disconnected: 'InvalidRequest',
  incomplete: 'InvalidRequest',
  unsupported: 'InvalidRequest',
  unavailable: 'StorageError',
  'too-large': 'InvalidRequest',
  aborted: 'InvalidRequest',
}

/**
 * Every failure of a blob or directory service, of any backend. Branch on {@link CastoreError.code}. A cancelled
 * call is the one exception: it rejects with the reason of the caller's own AbortSignal, unchanged.
 */
export class CastoreError extends Error {
  override readonly name: string = 'CastoreError'
  readonly code: CastoreErrorCode

  constructor(code: CastoreErrorCode, message: string, options?: { readonly cause?: unknown }) {
    super(message, options)
    this.code = code
  }

  /** The error in the two kinds of the wire protocol (spec 01 section 9.2). */
  get kind(): CastoreErrorKind {
    return KINDS[this.code]
  }
}

/**
 * Stored content is damaged or missing: bytes that do not hash to their digest, a chunk that a chunk list names but
 * nobody has, a directory that another one references (spec 02 section 6, spec 03 section 5). Storing the content
 * anew repairs it.
 */
export class DataLossError extends CastoreError {
  override readonly name = 'DataLossError'

  /**
   * @param digest what is damaged or missing
   * @param backend which service found out, in words for a person (`memory`, `embedded:/var/lib/neve`)
   * @param detail what is wrong, in lower case, with expected and actual
   */
  constructor(
    readonly digest: B3Digest,
    readonly backend: string,
    detail: string,
    options?: { readonly cause?: unknown },
  ) {
    super('data-loss', `${detail} (${backend})`, options)
  }
}

/** A blob is larger than the one-shot path takes; read it with `open`. */
export class BlobTooLargeError extends CastoreError {
  override readonly name = 'BlobTooLargeError'

  constructor(
    readonly digest: B3Digest,
    readonly size: bigint,
    readonly limit: number,
  ) {
    super('too-large', `blob ${digest} has ${size} bytes, expected at most ${limit}`)
  }
}

/** The list of a blob was to be stored before one of its chunks was (spec 10 section 2). */
export class MissingChunkError extends CastoreError {
  override readonly name = 'MissingChunkError'

  constructor(
    readonly blob: B3Digest,
    readonly chunk: B3Digest,
  ) {
    super('incomplete', `chunk ${chunk} of blob ${blob} is not stored: chunks have to come before their list`)
  }
}

/** A directory came out of order: it references one that was not put before, or nobody references it (spec 03 section 3). */
export class DirectoryOrderError extends CastoreError {
  override readonly name = 'DirectoryOrderError'

  /**
   * @param directory the directory that came out of order
   * @param reference what it references and was not put before; undefined where the directory itself was not expected
   */
  constructor(
    readonly directory: B3Digest,
    readonly reference?: B3Digest,
  ) {
    super(
      'order',
      reference === undefined
        ? `unexpected digest: nothing that came before references directory ${directory}`
        : `unknown directory was referenced: ${directory} references ${reference}, which was not put before`,
    )
  }
}

/** A directory entry claims a size that the directory it references does not have (spec 03 section 4). */
export class WrongSizeError extends CastoreError {
  override readonly name = 'WrongSizeError'

  /**
   * @param entry the entry's name, as text for a person
   * @param directory the referenced directory
   * @param specified the size in the entry
   * @param recorded the directory's own size, every entry counted once
   */
  constructor(
    readonly entry: string,
    readonly directory: B3Digest,
    readonly specified: bigint,
    readonly recorded: bigint,
  ) {
    super('size', `'${entry}' has wrong size, specified ${specified}, recorded ${recorded}`)
  }
}
