import type { B3Digest } from '@neve/castore-model'
import type { CallOptions } from './call-options.js'

/** One piece of a blob: itself a blob, readable by its own digest (spec 02 section 1). */
export interface ChunkMeta {
  /** BLAKE3 of the piece's plain bytes. */
  readonly digest: B3Digest
  /** Length in bytes, at least 1. */
  readonly size: bigint
}

/** A range of bytes: `start` is in it, `end` is not. */
export interface ByteRange {
  readonly start: bigint
  readonly end: bigint
}

/** Options of {@link BlobService.open}. */
export interface OpenBlobOptions extends CallOptions {
  /**
   * How many bytes the blob probably has: whoever found it in a directory knows. It may save a look-up (spec 10 section
   * 3) and binds nobody: a wrong one gives the same bytes. Default: not known.
   */
  readonly sizeHint?: bigint | undefined
}

/** Options of {@link BlobService.get}. */
export interface GetBlobOptions extends OpenBlobOptions {
  /** The most bytes to take, in bytes. A larger blob is refused. Default: 1 MiB less one byte. */
  readonly maxSize?: number | undefined
}

/** {@link BlobService.get} takes blobs below 1 MiB unless told otherwise (DESIGN decision 13). */
export const DEFAULT_GET_MAX_SIZE = 1024 * 1024 - 1

/**
 * Random access to the bytes of one blob. It has no position: streams and cursors derive from it (`blobStream`,
 * `BlobCursor`), and any number of reads may run at once.
 */
export interface BlobReader extends AsyncDisposable {
  /** Length of the blob in bytes. */
  readonly size: bigint

  /**
   * Reads `length` bytes from `offset` on: fewer only where the blob ends, none at its end. Every byte was checked
   * against its digest before it is handed out.
   *
   * The result is for reading: it may be a view of what the service caches. Copy it before changing or transferring it.
   *
   * @param offset position of the first byte, 0 to `size`
   * @param length the most bytes to return, a non-negative integer
   * @throws CastoreError `invalid-input` when offset is negative or above `size`, or length is not a non-negative
   *   integer; `closed` after `close`
   * @throws DataLossError when content is damaged, or a part of it is missing
   */
  readAt(offset: bigint, length: number, options?: CallOptions): Promise<Uint8Array>

  /**
   * The bytes in pieces as the service has them, for services that read in order better than by `readAt` calls in a
   * row: whole chunks, fetched ahead. Use `blobStream`, which falls back to `readAt`. Pieces before a damaged or
   * missing one are delivered; as with `readAt`, they are for reading.
   *
   * @param range checked by `blobStream`: 0 <= start <= end <= `size`
   */
  stream?(range: ByteRange, options?: CallOptions): AsyncIterable<Uint8Array>

  /** Lets go of what the reader holds. Calling it again does nothing. */
  close(): Promise<void>
}

/**
 * Takes the bytes of one new blob (spec 02 section 4). Only {@link BlobWriter.close} makes the blob visible; a writer
 * that is disposed of without is aborted, and leaves no blob behind. Disposing waits for a `close` that runs.
 *
 * Calls that are made without waiting for the one before run in the order in which they were made. A call that fails
 * or is cancelled ends the writer: nothing becomes visible any more.
 */
export interface BlobWriter extends AsyncDisposable {
  /**
   * Appends bytes. Settles when the writer can take more; wait for it, or memory grows.
   *
   * @param bytes not to be changed until the promise settles; the writer does not keep it afterwards
   * @throws CastoreError `closed` after `close`, whether that succeeded or not; `aborted` after `abort`
   */
  write(bytes: Uint8Array, options?: CallOptions): Promise<void>

  /**
   * Hands on what is buffered. Says nothing about durability or visibility: only `close` does.
   *
   * @throws CastoreError as `write` does
   */
  flush(options?: CallOptions): Promise<void>

  /**
   * Stores the blob durably and makes it visible. Of a writer that got no bytes it is the empty blob. Called again it
   * gives the same digest, or rejects with the same error.
   *
   * @returns BLAKE3 of all bytes written, in order, however they were split
   * @throws CastoreError `aborted` after `abort`, or what the backend ran into
   */
  close(options?: CallOptions): Promise<B3Digest>

  /** Gives up: nothing becomes visible, what is held is let go. After `close` or another `abort` it does nothing. Never rejects. */
  abort(reason?: unknown): Promise<void>
}

/**
 * Stores byte strings by their BLAKE3 digest (spec 02 section 2). Safe for concurrent calls.
 *
 * A cancelled call rejects with the reason of its signal. Every other rejection is a CastoreError. The empty blob is
 * always present (DESIGN decision 11).
 */
export interface BlobService {
  /** Whether the blob, or a chunk of that digest, is stored. Never an error for one that is not. */
  has(digest: B3Digest, options?: CallOptions): Promise<boolean>

  /**
   * Opens a blob, or a chunk by its own digest. Close the reader, or use `await using`.
   *
   * @returns undefined when it is not stored
   */
  open(digest: B3Digest, options?: OpenBlobOptions): Promise<BlobReader | undefined>

  /**
   * Starts a new blob. Cannot fail: trouble shows in the calls of the writer.
   *
   * @param options the signal aborts the writer at any later time until `close` has succeeded
   */
  openWrite(options?: CallOptions): BlobWriter

  /**
   * The pieces of a blob, in order; their bytes one after the other are the blob.
   *
   * @returns undefined when the blob is not stored; an empty list when no finer pieces are known (the service does
   *   not chunk, the blob is small, the digest is that of a chunk); else at least two
   */
  chunks(digest: B3Digest, options?: CallOptions): Promise<readonly ChunkMeta[] | undefined>

  /**
   * Reads a small blob whole, checked against its digest. The result is for reading: it may be a view of what the
   * service caches.
   *
   * @returns undefined when it is not stored
   * @throws BlobTooLargeError when it has more than `maxSize` bytes
   * @throws DataLossError when it is damaged
   */
  get(digest: B3Digest, options?: GetBlobOptions): Promise<Uint8Array | undefined>

  /**
   * Stores a small blob whole. Storing what is there already succeeds and heals it where it is damaged.
   *
   * @param content not to be changed until the promise settles; the service does not keep it afterwards
   */
  put(content: Uint8Array, options?: CallOptions): Promise<B3Digest>

  /**
   * The same blobs for somebody who looks after the store: what is read there counts as no use, so that garbage stays
   * garbage, and may go while it is read. It cannot be written to, is not for who stores what refers to what was read, and
   * ends with this one. Where this is missing, reading is no use anyway, or cannot be told from it.
   */
  withoutUse?(): BlobService

  /** Lets go of what the service holds; calls that run are finished first or fail with `closed`. */
  close?(): Promise<void>
}
