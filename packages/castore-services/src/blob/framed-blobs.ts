import type { B3Digest } from '@neve/castore-model'
import type { ChunkSizes } from '@neve/fastcdc'
import type { CallOptions } from '../call-options.js'

/** A chunk that is ready to be stored. */
export interface FramedChunk {
  readonly digest: B3Digest
  /** Length of the plain bytes. */
  readonly size: number
  /** What to store: a zstd frame. It must not change until the call has settled. */
  readonly frame: Uint8Array
}

/** A blob that is ready to be stored. */
export interface FramedBlob {
  readonly digest: B3Digest
  /** In order, all of them, as FastCDC cuts the blob; none for the empty blob. */
  readonly chunks: readonly FramedChunk[]
}

/** What a service can do that takes blobs as zstd frames, from threads that cut and compress elsewhere. */
export interface FramedBlobs {
  /** How blobs are cut, in bytes. */
  readonly chunkSizes: ChunkSizes

  /** Whether it does take them: of a server that has to be asked. */
  takesFrames(options?: CallOptions): Promise<boolean>

  /**
   * Stores whole blobs, together no more than fits a message. Returns once they are durable.
   *
   * @param blobs nobody who is not a server's checks them
   */
  putFramed(blobs: readonly FramedBlob[], options?: CallOptions): Promise<void>
}

/** What a service can do beside that takes large blobs in pieces. */
export interface FramedChunks extends FramedBlobs {
  /** The first half of `putFramed`, for some of the chunks of a blob. @returns whether there were any, all of them new */
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

/** The service, if it may take framed blobs: ask `takesFrames` once before. */
export function framedBlobs(blobs: object): FramedBlobs | undefined {
  return 'putFramed' in blobs && 'takesFrames' in blobs && 'chunkSizes' in blobs
    ? (blobs as FramedBlobs)
    : undefined
}

/** The service, if it takes framed chunks of large blobs. */
export function framedChunks(blobs: FramedBlobs | undefined): FramedChunks | undefined {
  return blobs !== undefined && 'putFramedChunks' in blobs && 'putFramedList' in blobs
    ? (blobs as FramedChunks)
    : undefined
}
