import type { CallOptions } from '../call-options.js'

/** What a store tells about an object without reading it. */
export interface ObjectMeta {
  readonly key: string
  /** Length in bytes. */
  readonly size: number
  /** When it was written last, by the store's clock, in milliseconds since 1970; undefined where the store does not tell. */
  readonly modified?: number | undefined
}

/** A part of an object: `length` bytes from `offset` on, fewer only where the object ends. */
export interface ObjectRange {
  readonly offset: number
  readonly length: number
}

/** An object to be written. */
export interface NewObject {
  readonly key: string
  /** Not to be changed until it is written; the store does not keep it afterwards. */
  readonly content: Uint8Array
}

/** Options of {@link ObjectStore.get}. */
export interface GetObjectOptions extends CallOptions {
  /** Default: the whole object. A range that begins at the end of the object or behind it is empty. */
  readonly range?: ObjectRange | undefined
  /** The most bytes to take. An object, or a range of it, that has more is refused. Default: as many as there are. */
  readonly maxSize?: number | undefined
}

/**
 * What the backends over object storage need of it, and no more (DESIGN decision 8): whole objects under keys. Safe
 * for concurrent calls.
 *
 * Keys are relative to the store: one or more components joined by `/`, each of the characters `A-Z a-z 0-9 . _ -` and
 * neither `.` nor `..`. Others are refused (`invalid-input`).
 *
 * A cancelled call rejects with the reason of its signal; a write that was cancelled may have happened or not, but
 * never in part. Every other rejection is a CastoreError:
 *
 * - `unavailable`: the store cannot be reached, asks for patience or did not answer in time. Adapters have tried again
 *   where that is safe, with growing pauses, before they say so.
 * - `storage`: it refuses, or is out of order
 * - `too-large`: more than `maxSize`
 * - `closed`: after `close`
 *
 * No message and no cause contains a credential.
 */
export interface ObjectStore {
  /** For messages, without secrets: `memory`, `file:///var/lib/x`, `s3://bucket/prefix`. */
  readonly name: string

  /** How many calls at once suit it best; more may wait for their turn. Default: 32. */
  readonly concurrency?: number | undefined

  /** @returns undefined when there is no such object */
  head(key: string, options?: CallOptions): Promise<ObjectMeta | undefined>

  /**
   * Reads an object, or a range of it. The result is the caller's.
   *
   * @returns undefined when there is no such object
   * @throws CastoreError `too-large` when it has more than `maxSize` bytes
   */
  get(key: string, options?: GetObjectOptions): Promise<Uint8Array | undefined>

  /**
   * Writes an object, or replaces it. Nobody sees a part of it; once the promise settles it is durable.
   *
   * @param content not to be changed until the promise settles; the store does not keep it afterwards
   */
  put(key: string, content: Uint8Array, options?: CallOptions): Promise<void>

  /**
   * Writes an object unless there is one under that key. Atomic where the backend can; where it cannot, of two callers
   * at the same moment both may write (`docs/backends.md` says which backends these are).
   *
   * @param content as for `put`
   * @returns whether it was written
   */
  putIfAbsent(key: string, content: Uint8Array, options?: CallOptions): Promise<boolean>

  /**
   * `putIfAbsent` of many objects, for less than so many calls take. Settles when all are written, also where some fail; each
   * is atomic by itself. Where this is missing, `putIfAbsent` does it.
   *
   * @param objects no two with the same key
   * @returns of each, in their order, whether it was written
   * @throws the first failure
   */
  readonly putAllIfAbsent?:
    | ((objects: readonly NewObject[], options?: CallOptions) => Promise<readonly boolean[]>)
    | undefined

  /**
   * Replaces an object, if it has the bytes that are expected. Atomic among all who replace it this way: where the store
   * cannot promise that between processes, it does not have this method (`docs/backends.md`).
   *
   * @param content as for `put`
   * @returns whether it was written: not where there is no such object, or another one
   */
  readonly replace?:
    | ((key: string, expected: Uint8Array, content: Uint8Array, options?: CallOptions) => Promise<boolean>)
    | undefined

  /**
   * Makes an object look as if it had been written now, in one step: one that is removed at the same moment does not come
   * back. Where this is missing, `replace` by the same bytes does it, with more requests.
   *
   * @returns false when there is no such object
   */
  readonly touch?: ((key: string, options?: CallOptions) => Promise<boolean>) | undefined

  /**
   * All objects whose keys begin with `prefix`, in no order that can be relied on. What is written or deleted meanwhile
   * may be in it or not.
   *
   * @param prefix the beginning of a key; empty for all objects
   */
  list(prefix: string, options?: CallOptions): AsyncIterable<ObjectMeta>

  /** Removes an object. Succeeds when there is none. */
  delete(key: string, options?: CallOptions): Promise<void>

  /**
   * Removes objects, with fewer requests than one each. Succeeds when some or all are not there. It is not tried
   * again: what was removed by a request whose answer was lost may have been written anew since. Where this is missing,
   * `delete` does it.
   */
  readonly deleteAll?: ((keys: readonly string[], options?: CallOptions) => Promise<void>) | undefined

  /** Lets go of what the store holds. Calls that run are finished first. Calling it again does nothing. */
  close?(): Promise<void>
}
