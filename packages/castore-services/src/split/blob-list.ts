import { B3Digest } from '@neve/castore-model'
import { ChunkTable } from '../blob/chunk-table.js'
import type { ChunkMeta } from '../blob-service.js'
import { CastoreError, DataLossError } from '../errors.js'

/**
 * The list without its entries of size 0, if it can be the list of that blob (spec 10 section 2): no chunk for the
 * empty blob only; one that is the blob itself; or several, none of which is the blob, of sizes that can be right.
 *
 * @param backend where the list comes from, for messages
 * @throws DataLossError
 */
export function trustedBlobList(
  blob: B3Digest,
  chunks: readonly ChunkMeta[],
  backend: string,
): readonly ChunkMeta[] {
  const list = chunks.every(({ size }) => size !== 0n) ? chunks : chunks.filter(({ size }) => size !== 0n)
  const refuse = (detail: string) =>
    new DataLossError(blob, backend, `bad chunk list for blob ${blob}: ${detail}`)
  const [only] = list
  if (blob.equals(B3Digest.EMPTY)) {
    if (only !== undefined) throw refuse(`${list.length} chunks with bytes, expected none for the empty blob`)
    return list
  }
  if (only === undefined) throw refuse('no chunks, which only the empty blob has')
  if (list.length > 1) {
    new ChunkTable(blob, list, backend)
  } else if (!only.digest.equals(blob)) {
    throw refuse(`its only chunk is ${only.digest}, expected the blob itself`)
  }
  return list
}

/**
 * As {@link trustedBlobList}, for a list that somebody wants to store.
 *
 * @throws CastoreError `invalid-request`
 */
export function normalizedBlobList(blob: B3Digest, chunks: readonly ChunkMeta[]): readonly ChunkMeta[] {
  try {
    return trustedBlobList(blob, chunks, 'put')
  } catch (cause) {
    if (!(cause instanceof DataLossError)) throw cause
    throw new CastoreError('invalid-request', cause.message, { cause })
  }
}

/** The blob's length in bytes. */
export function blobListSize(chunks: readonly ChunkMeta[]): bigint {
  return chunks.reduce((sum, { size }) => sum + size, 0n)
}
