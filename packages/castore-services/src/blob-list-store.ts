import type { B3Digest } from '@neve/castore-model'
import type { ChunkMeta } from './blob-service.js'
import type { CallOptions } from './call-options.js'

/**
 * Stores of which chunks blobs are made: the other half of a blob service (spec 10). Safe for concurrent calls. The
 * empty blob is always present.
 *
 * The list of a blob is complete: one entry for a blob in one piece, which names the blob itself, and no entry for the
 * empty blob only. That differs from `BlobService.chunks`, whose empty list means that nothing finer is known.
 *
 * A cancelled call rejects with the reason of its signal. Every other rejection is a CastoreError.
 */
export interface BlobListStore {
  /** Whether the list of a blob is stored. Never an error for one that is not. */
  has(digest: B3Digest, options?: CallOptions): Promise<boolean>

  /**
   * The chunks of a blob, in order. Who reads the blob checks each chunk, and the whole where it reads the whole.
   *
   * @returns undefined when it is not stored
   * @throws DataLossError when what is stored cannot be the list of this blob
   */
  get(digest: B3Digest, options?: CallOptions): Promise<readonly ChunkMeta[] | undefined>

  /**
   * Stores the list of a blob durably, after its chunks. Entries of size 0 are dropped. Storing what is there already
   * succeeds, and heals it where it is damaged.
   *
   * @throws CastoreError `invalid-request` when the list cannot be that of this blob: see `normalizedBlobList`
   * @throws MissingChunkError where the store can tell that a chunk of the list is not stored
   */
  put(digest: B3Digest, chunks: readonly ChunkMeta[], options?: CallOptions): Promise<void>

  /** Lets go of what the store holds. */
  close?(): Promise<void>
}
