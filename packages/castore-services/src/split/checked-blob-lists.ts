import { B3Digest, blake3 } from '@neve/castore-model'
import type { BlobListStore } from '../blob-list-store.js'
import type { ChunkMeta } from '../blob-service.js'
import type { CallOptions } from '../call-options.js'
import { type ChunkStore, DEFAULT_MAX_CHUNK_SIZE } from '../chunk-store.js'
import { mapOrdered } from '../concurrency/map-ordered.js'
import { BlobTooLargeError, CastoreError, MissingChunkError } from '../errors.js'
import { normalizedBlobList } from './blob-list.js'

const CONCURRENCY = 32

/** How much a put of a list checks. */
export interface PutListCheck {
  /** Whether to read the chunks, and check that they make up the blob. Default: only whether they are there. */
  readonly verifyPut?: boolean | undefined
}

/** What {@link checkedBlobLists} is made of. */
export interface CheckedBlobListsInit extends PutListCheck {
  readonly lists: BlobListStore
  /** Where the chunks of the lists have to be. */
  readonly chunks: ChunkStore
}

/**
 * A list store whose `put` takes lists only whose chunks are stored: what a server puts before a store that knows no
 * chunks. It throws `MissingChunkError`, and with `verifyPut` CastoreError `invalid-request` when the chunks make up
 * another blob.
 */
export function checkedBlobLists({ lists, chunks, verifyPut }: CheckedBlobListsInit): BlobListStore {
  return {
    has: (digest, options) => lists.has(digest, options),
    get: (digest, options) => lists.get(digest, options),
    put: async (digest, entries, options = {}) => {
      const list = normalizedBlobList(digest, entries)
      if (verifyPut) await drained(verifiedContent(digest, list, chunks, options))
      else await expectChunks(digest, list, chunks, options)
      await lists.put(digest, list, options)
    },
    close: async () => {
      await lists.close?.()
    },
  }
}

/** @throws MissingChunkError for the first chunk of the list that is not stored */
export async function expectChunks(
  blob: B3Digest,
  list: readonly ChunkMeta[],
  chunks: Pick<ChunkStore, 'has'>,
  { signal }: CallOptions,
): Promise<void> {
  const distinct = new Map(list.map(({ digest }) => [digest.key, digest]))
  const look = async (digest: B3Digest, stop: AbortSignal) =>
    (await chunks.has(digest, { signal: stop })) ? undefined : digest
  for await (const missing of mapOrdered(distinct.values(), CONCURRENCY, look, { signal })) {
    if (missing !== undefined) throw new MissingChunkError(blob, missing)
  }
}

/**
 * The bytes of a blob that is put as a list, checked: it ends without an error only when they are those of the blob.
 *
 * @throws MissingChunkError
 * @throws CastoreError `invalid-request` when a chunk has another size, or the chunks make up another blob
 */
export async function* verifiedContent(
  blob: B3Digest,
  list: readonly ChunkMeta[],
  chunks: Pick<ChunkStore, 'get'>,
  { signal }: CallOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const fetch = async ({ digest, size }: ChunkMeta, stop: AbortSignal) => {
    if (size > BigInt(DEFAULT_MAX_CHUNK_SIZE))
      throw new BlobTooLargeError(digest, size, DEFAULT_MAX_CHUNK_SIZE)
    const content = await chunks.get(digest, { sizeHint: Number(size), signal: stop })
    if (content === undefined) throw new MissingChunkError(blob, digest)
    if (BigInt(content.length) === size) return content
    const detail = `chunk ${digest} has ${content.length} bytes, expected ${size}`
    throw new CastoreError('invalid-request', `bad chunk list for blob ${blob}: ${detail}`)
  }
  const hasher = blake3.hasher()
  for await (const content of mapOrdered(list, 4, fetch, { signal })) {
    hasher.update(content)
    yield content
  }
  const actual = B3Digest.adopt(hasher.digest())
  if (!actual.equals(blob)) {
    throw new CastoreError('invalid-request', `the chunks of blob ${blob} make up ${actual}`)
  }
}

/** Reads a stream for its errors only. */
export async function drained(stream: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const _ of stream);
}
