import type { B3Digest } from '@neve/castore-model'
import type { BlobReader, BlobService, BlobWriter, ChunkMeta, GetBlobOptions } from '../blob-service.js'
import type { CallOptions } from '../call-options.js'
import { CastoreError } from '../errors.js'
import { ChunkedBlobReader } from './chunked-reader.js'
import { getPiece, properList } from './piece.js'

/** What a {@link CombinedBlobService} is made of. */
export interface CombinedBlobServiceInit {
  /** Asked first, and the only one that is written to. */
  readonly local: BlobService
  /** Asked for what the local one has not. */
  readonly remote: Pick<BlobService, 'has' | 'open' | 'chunks' | 'get'>
}

const BACKEND = 'combined'

/**
 * A local blob service in front of a remote one that is read only (spec 02 section 13). Nothing that was read from the
 * remote one is kept: `CacheBlobService` does that.
 *
 * - A blob that the local one has does not reach the remote one, but for chunks that the local one lacks.
 * - Of a blob that only the remote one has, each chunk is looked for in the local one first.
 * - Trouble of the local one is reported, not hidden by asking the remote one.
 *
 * The two stay the caller's, who closes them.
 */
export class CombinedBlobService implements BlobService {
  readonly #local: BlobService
  readonly #remote: CombinedBlobServiceInit['remote']

  constructor({ local, remote }: CombinedBlobServiceInit) {
    this.#local = local
    this.#remote = remote
  }

  async has(digest: B3Digest, options?: CallOptions): Promise<boolean> {
    return (await this.#local.has(digest, options)) || (await this.#remote.has(digest, options))
  }

  async chunks(digest: B3Digest, options?: CallOptions): Promise<readonly ChunkMeta[] | undefined> {
    const local = await this.#local.chunks(digest, options)
    return properList(local ?? (await this.#remote.chunks(digest, options)))
  }

  async open(digest: B3Digest, options?: CallOptions): Promise<BlobReader | undefined> {
    for (const blobs of [this.#local, this.#remote]) {
      const chunks = properList(await blobs.chunks(digest, options))
      if (chunks === undefined) continue
      if (chunks.length > 0) return this.#reader(digest, chunks)
      const reader = await blobs.open(digest, options)
      // It may have been deleted since it was asked for.
      if (reader !== undefined) return reader
    }
    return undefined
  }

  openWrite(options?: CallOptions): BlobWriter {
    return this.#local.openWrite(options)
  }

  async get(digest: B3Digest, options: GetBlobOptions = {}): Promise<Uint8Array | undefined> {
    try {
      const content = await this.#local.get(digest, options)
      return content ?? (await this.#remote.get(digest, options))
    } catch (error) {
      // Chunks that the local one lacks may be remote; of damaged ones the reader reports the same again.
      const chunks = await this.#localChunksAfter(error, digest, options)
      await using reader = this.#reader(digest, chunks)
      return await reader.readAt(0n, Number(reader.size), options)
    }
  }

  async put(content: Uint8Array, options?: CallOptions): Promise<B3Digest> {
    return this.#local.put(content, options)
  }

  async #localChunksAfter(
    error: unknown,
    digest: B3Digest,
    options: CallOptions,
  ): Promise<readonly ChunkMeta[]> {
    if (!(error instanceof CastoreError) || error.code !== 'data-loss') throw error
    const chunks = await this.#local.chunks(digest, options)
    if (chunks === undefined || chunks.length < 2) throw error
    return chunks
  }

  #reader(digest: B3Digest, chunks: readonly ChunkMeta[]): BlobReader {
    return new ChunkedBlobReader({
      digest,
      chunks,
      backend: BACKEND,
      // Both have checked what they give.
      verifyChunks: false,
      fetch: async (chunk, options) =>
        (await getPiece(this.#local, chunk, BACKEND, options)) ??
        (await getPiece(this.#remote, chunk, BACKEND, options)),
    })
  }
}
