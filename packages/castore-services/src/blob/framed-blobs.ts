import type { B3Digest } from '@neve/castore-model'
import type { ChunkSizes } from '@neve/fastcdc'
import type { BlobService } from '../blob-service.js'
import type { CallOptions } from '../call-options.js'

/** A chunk that is ready to be stored. */
export interface FramedChunk {
  readonly digest: B3Digest
  /** Length of the plain bytes. */
  readonly size: number
  /** What to store: a zstd frame. It must not change until the call has settled. */
  readonly frame: Uint8Array
}

/** What a service can do that stores chunks as zstd frames: take them from threads that cut and compress elsewhere. */
export interface FramedBlobs {
  /** How blobs are cut, in bytes. */
  readonly chunkSizes: ChunkSizes

  /**
   * Stores a whole blob. Returns once it is durable.
   *
   * @param chunks in order, all of them, as FastCDC with `chunkSizes` cuts the blob; none for the empty blob. Nobody
   *   checks them
   */
  putFramed(digest: B3Digest, chunks: readonly FramedChunk[], options?: CallOptions): Promise<void>

  /** The first half of `putFramed`, for some of the chunks. @returns whether there were any, all of them new */
  putFramedChunks(chunks: readonly FramedChunk[], options?: CallOptions): Promise<boolean>

  /**
   * The second half of `putFramed`, when all chunks are durable.
   *
   * @param expectNew whether the blob is most likely not there yet: that saves a request if so
   */
  putFramedList(
    digest: B3Digest,
    chunks: readonly Pick<FramedChunk, 'digest' | 'size'>[],
    expectNew: boolean,
    options?: CallOptions,
  ): Promise<void>
}

/** The service, if it takes framed chunks. */
export function framedBlobs(blobs: BlobService): (BlobService & FramedBlobs) | undefined {
  return 'putFramed' in blobs &&
    'putFramedChunks' in blobs &&
    'putFramedList' in blobs &&
    'chunkSizes' in blobs
    ? (blobs as BlobService & FramedBlobs)
    : undefined
}
