import { B3Digest, type Blake3Hasher, blake3 } from '@neve/castore-model'
import { Chunker, type ChunkSizes } from '@neve/fastcdc'
import type { ChunkMeta } from '../blob-service.js'
import type { CallOptions } from '../call-options.js'
import { ChunkUploads, type ChunkUploadsInit } from './chunk-uploads.js'
import { BlobWriterBase } from './writer-base.js'

/** What a writer hands its blob to, in the end. */
export interface ObjectStoreWriterInit extends ChunkUploadsInit {
  readonly sizes: ChunkSizes
  /** Stores a blob of one chunk. */
  readonly putSmall: (content: Uint8Array, options: CallOptions) => Promise<B3Digest>
  /** Stores a blob's list; its chunks are durable. */
  readonly putList: (digest: B3Digest, chunks: readonly ChunkMeta[], options: CallOptions) => Promise<void>
}

/** Cuts a blob at content-defined boundaries, and has its chunks stored while more is written. */
export class ObjectStoreBlobWriter extends BlobWriterBase {
  readonly #init: ObjectStoreWriterInit
  readonly #chunker: Chunker
  readonly #hasher: Blake3Hasher = blake3.hasher()
  readonly #uploads: ChunkUploads
  #started = false

  constructor(init: ObjectStoreWriterInit, options?: CallOptions) {
    super(options)
    this.#init = init
    this.#chunker = new Chunker(init.sizes)
    this.#uploads = new ChunkUploads(init)
  }

  protected accept(bytes: Uint8Array, signal: AbortSignal): Promise<void> | undefined {
    this.#hasher.update(bytes)
    return this.#add(this.#chunker.push(bytes), signal)
  }

  protected drain(): void {}

  protected async commit(signal: AbortSignal): Promise<B3Digest> {
    const last = this.#chunker.finish()
    if (!this.#started && last.length < 2) {
      return this.#init.putSmall(last[0] ?? new Uint8Array(0), { signal })
    }
    const digest = B3Digest.adopt(this.#hasher.digest())
    await this.#add(last, signal)
    await this.#init.putList(digest, await this.#uploads.finish(signal), { signal })
    return digest
  }

  // Chunks that were stored stay: another upload may count on them by now.
  protected discard(reason: unknown): Promise<void> {
    return this.#uploads.abort(reason)
  }

  #add(chunks: readonly Uint8Array[], signal: AbortSignal): Promise<void> | undefined {
    if (chunks.length === 0) return undefined
    this.#started = true
    return this.#uploads.add(chunks, signal)
  }
}
