import type { BlobReader, ByteRange } from '../blob-service.js'
import type { CallOptions } from '../call-options.js'
import type { ChunkedBlobReader } from './chunked-reader.js'

/** What a {@link CacheBlobReader} reads with. */
export interface CacheBlobReaderInit {
  /** Stores each chunk that it fetches on its own. */
  readonly chunks: ChunkedBlobReader
  /** Stores nothing. */
  readonly plain: ChunkedBlobReader
  /** Stores a whole blob that passes through. */
  readonly tee: (pieces: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>
}

/** Reads a blob that the near side of a cache does not have, and has it stored there: chunk by chunk, or as it passes. */
export class CacheBlobReader implements BlobReader {
  readonly size: bigint
  readonly #init: CacheBlobReaderInit

  constructor(init: CacheBlobReaderInit) {
    this.#init = init
    this.size = init.chunks.size
  }

  async readAt(offset: bigint, length: number, options?: CallOptions): Promise<Uint8Array> {
    return this.#init.chunks.readAt(offset, length, options)
  }

  stream(range: ByteRange, options?: CallOptions): AsyncIterable<Uint8Array> {
    const { chunks, plain, tee } = this.#init
    if (range.start > 0n || range.end < this.size) return chunks.stream(range, options)
    return tee(plain.stream(range, options))
  }

  async close(): Promise<void> {
    await Promise.all([this.#init.chunks.close(), this.#init.plain.close()])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
