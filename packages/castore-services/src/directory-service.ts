import type { B3Digest, Directory } from '@neve/castore-model'
import type { CallOptions } from './call-options.js'

/**
 * Stores directories by the digest of their canonical encoding (spec 03 section 2). Safe for concurrent calls.
 *
 * A cancelled call rejects with the reason of its signal. Every other rejection is a CastoreError.
 */
export interface DirectoryService {
  /**
   * Whether `put` takes directories with children and stores just them, whatever is below them. Where it is not, a
   * single directory may be refused, or cost as much as its whole closure. Default: false.
   */
  readonly putsSingly?: boolean | undefined

  /**
   * Looks one directory up. What is returned hashes to the digest.
   *
   * @returns undefined when it is not stored, or when the service knows roots of uploads only and this is none
   * @throws DataLossError when what is stored is damaged
   */
  get(digest: B3Digest, options?: CallOptions): Promise<Directory | undefined>

  /**
   * Stores one directory on its own. Storing what is there already succeeds. A service may refuse a directory whose
   * children it would not know from this call (spec 03 section 11).
   *
   * @returns the directory's digest
   */
  put(directory: Directory, options?: CallOptions): Promise<B3Digest>

  /**
   * A directory and everything below it: the root first, each one once, and only after another one has referenced it.
   * Nothing is asked for until the caller iterates. An absent root gives no elements and no error.
   *
   * @throws DataLossError on iterating, when a directory below the root is not stored or damaged; what came before is good
   */
  getRecursive(root: B3Digest, options?: CallOptions): AsyncIterable<Directory>

  /**
   * Starts an upload of one closure. Cannot fail, and costs nothing when nothing is put.
   *
   * @param options the signal aborts the upload at any later time until `close` has succeeded
   */
  putMultipleStart(options?: CallOptions): DirectoryPutter

  /** The same directories for somebody who looks after the store: see `BlobService.withoutUse`. */
  withoutUse?(): DirectoryService

  /** Lets go of what the service holds; calls that run are finished first or fail with `closed`. */
  close?(): Promise<void>
}

/**
 * An upload of one closure: children before their parents, one root, which comes last (spec 03 section 2.1). Nothing is
 * sure to be stored before {@link DirectoryPutter.close} succeeded. Disposing of it without is `abort`.
 *
 * Calls that are made without waiting for the one before run in the order in which they were made.
 */
export interface DirectoryPutter extends AsyncDisposable {
  /**
   * Adds a directory. Putting one again is fine. An error may be that of an earlier put; after one, every later call
   * fails too.
   *
   * @throws DirectoryOrderError when it references one that was not put before through this putter
   * @throws WrongSizeError when an entry's size is neither the size of the directory it references nor, at most, that
   *   size with every entry counted twice (DESIGN decision 2)
   * @throws CastoreError `closed` after `close`, `aborted` after `abort`
   */
  put(directory: Directory, options?: CallOptions): Promise<void>

  /**
   * Checks that the closure is whole and has one root, and stores it durably.
   *
   * @returns the root's digest
   * @throws CastoreError `empty` without any put; `disconnected` with more than one root; `closed` on a second call;
   *   `aborted` after `abort`; the error of an earlier put, if one failed
   */
  close(options?: CallOptions): Promise<B3Digest>

  /** Gives up. After `close` or another `abort` it does nothing. Never rejects. */
  abort(reason?: unknown): Promise<void>
}
