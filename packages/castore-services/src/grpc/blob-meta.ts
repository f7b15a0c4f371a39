import { B3Digest } from '@neve/castore-model'
import { fromUint64, snix, toUint64 } from '@neve/castore-model/proto'
import type { ChunkMeta } from '../blob-service.js'
import { CastoreError } from '../errors.js'

const { GetBlobResponse, PutBlobRequest } = snix.castore.v1

/** What a `PutBlobRequest` says. */
export interface PutBlob {
  readonly digest: B3Digest
  readonly chunks: readonly ChunkMeta[]
}

/** The `PutBlobRequest` for a list. */
export function encodePutBlobRequest({ digest, chunks }: PutBlob): Uint8Array {
  return PutBlobRequest.encode({ digest: digest.bytes, blob_meta: blobMeta(chunks) }).finish()
}

/**
 * Reads a `PutBlobRequest`. Nothing is checked but that there are a digest and a list, of digests.
 *
 * @throws CastoreError `invalid-request`
 */
export function decodePutBlobRequest(bytes: Uint8Array): PutBlob {
  const { digest, blob_meta } = decoded('PutBlobRequest', () => PutBlobRequest.decode(bytes))
  if (digest.length !== B3Digest.LENGTH) throw new CastoreError('invalid-request', 'invalid digest length')
  if (blob_meta == null) throw new CastoreError('invalid-request', 'blob_meta is missing')
  return { digest: B3Digest.from(digest), chunks: chunksOf(blob_meta) }
}

/** The `GetBlobResponse` with a list. */
export function encodeGetBlobResponse(chunks: readonly ChunkMeta[]): Uint8Array {
  return GetBlobResponse.encode({ blob_meta: blobMeta(chunks) }).finish()
}

/**
 * Reads a `GetBlobResponse`, whose list is not checked but for its digests.
 *
 * @throws CastoreError `invalid-request`
 */
export function decodeGetBlobResponse(bytes: Uint8Array): readonly ChunkMeta[] {
  const { blob_meta } = decoded('GetBlobResponse', () => GetBlobResponse.decode(bytes))
  if (blob_meta == null) throw new CastoreError('invalid-request', 'blob_meta is missing')
  return chunksOf(blob_meta)
}

function blobMeta(chunks: readonly ChunkMeta[]): snix.castore.v1.BlobMeta.$Properties {
  return { chunks: chunks.map(({ digest, size }) => ({ digest: digest.bytes, size: toUint64(size) })) }
}

function chunksOf({ chunks }: snix.castore.v1.BlobMeta.$Properties): readonly ChunkMeta[] {
  return (chunks ?? []).map(({ digest, size }, index) => {
    const length = digest?.length ?? 0
    if (digest == null || length !== B3Digest.LENGTH) {
      throw new CastoreError('invalid-request', `invalid digest length ${length} for chunk #${index}`)
    }
    return { digest: B3Digest.from(digest), size: fromUint64(size ?? 0) }
  })
}

function decoded<T>(message: string, decode: () => T): T {
  try {
    return decode()
  } catch (cause) {
    const text = cause instanceof Error ? cause.message : String(cause)
    throw new CastoreError('invalid-request', `malformed ${message}: ${text}`, { cause })
  }
}
