import type { B3Digest } from '@neve/castore-model'
import type { CallOptions } from './call-options.js'

/** Options of {@link ChunkStore.get}. */
export interface GetChunkOptions extends CallOptions {
  /** The most bytes to take, in bytes. A larger chunk is refused. Default: 64 MiB. */
  readonly maxSize?: number | undefined
  /** How many bytes the chunk probably has, so that room can be made for it. Binds nobody. Default: not known. */
  readonly sizeHint?: number | undefined
}

/** {@link ChunkStore.get} takes chunks up to this many bytes unless told otherwise: stores that cut blobs stay far below. */
export const DEFAULT_MAX_CHUNK_SIZE = 64 * 1024 * 1024

/**
 * Stores the pieces that blobs are made of, each whole, by BLAKE3 digest: one half of a blob service (spec 10). Safe
 * for concurrent calls. The empty chunk is always present.
 *
 * A cancelled call rejects with the reason of its signal. Every other rejection is a CastoreError.
 */
export interface ChunkStore {
  /** Whether the chunk is stored. Never an error for one that is not. */
  has(digest: B3Digest, options?: CallOptions): Promise<boolean>

  /**
   * The bytes of a chunk, checked against its digest. They are for reading: the array may be one that the store caches.
   *
   * @returns undefined when it is not stored
   * @throws BlobTooLargeError when it has more than `maxSize` bytes
   * @throws DataLossError when it is damaged
   */
  get(digest: B3Digest, options?: GetChunkOptions): Promise<Uint8Array | undefined>

  /**
   * Stores a chunk durably. Storing what is there already succeeds and heals it where it is damaged.
   *
   * @param content not to be changed until the promise settles; the store does not keep it afterwards
   * @returns BLAKE3 of the content
   */
  put(content: Uint8Array, options?: CallOptions): Promise<B3Digest>

  /** Lets go of what the store holds. */
  close?(): Promise<void>
}
