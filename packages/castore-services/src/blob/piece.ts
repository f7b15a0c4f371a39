import type { BlobService, ChunkMeta } from '../blob-service.js'
import type { CallOptions } from '../call-options.js'
import { CastoreError, DataLossError } from '../errors.js'

/**
 * Gets one chunk that a list names.
 *
 * @returns undefined when the service does not have it
 * @throws DataLossError when it is larger than the list says
 */
export async function getPiece(
  blobs: Pick<BlobService, 'get'>,
  { digest, size }: ChunkMeta,
  backend: string,
  { signal }: CallOptions,
): Promise<Uint8Array | undefined> {
  try {
    return await blobs.get(digest, { maxSize: Number(size), signal })
  } catch (error) {
    if (!(error instanceof CastoreError) || error.code !== 'too-large') throw error
    throw new DataLossError(digest, backend, `chunk ${digest} is larger than the listed ${size} bytes`, {
      cause: error,
    })
  }
}

/** A chunk list as the contract wants it: one chunk alone is no finer piece than the blob (spec 02 weakness 2). */
export function properList(chunks: readonly ChunkMeta[] | undefined): readonly ChunkMeta[] | undefined {
  return chunks?.length === 1 ? [] : chunks
}
