import { B3Digest } from '@neve/castore-model'
import type { CallOptions } from '../call-options.js'
import { type ChunkStore, DEFAULT_MAX_CHUNK_SIZE, type GetChunkOptions } from '../chunk-store.js'
import { BlobTooLargeError } from '../errors.js'

/** Keeps chunks in this process' memory, without a bound. */
export class MemoryChunkStore implements ChunkStore {
  readonly #chunks = new Map<string, Uint8Array>([[B3Digest.EMPTY.key, new Uint8Array(0)]])

  async has(digest: B3Digest, { signal }: CallOptions = {}): Promise<boolean> {
    signal?.throwIfAborted()
    return this.#chunks.has(digest.key)
  }

  async get(digest: B3Digest, options: GetChunkOptions = {}): Promise<Uint8Array | undefined> {
    const { maxSize = DEFAULT_MAX_CHUNK_SIZE, signal } = options
    signal?.throwIfAborted()
    const chunk = this.#chunks.get(digest.key)
    if (chunk !== undefined && chunk.length > maxSize) {
      throw new BlobTooLargeError(digest, BigInt(chunk.length), maxSize)
    }
    return chunk
  }

  async put(content: Uint8Array, { signal }: CallOptions = {}): Promise<B3Digest> {
    signal?.throwIfAborted()
    const digest = B3Digest.of(content)
    if (!this.#chunks.has(digest.key)) this.#chunks.set(digest.key, new Uint8Array(content))
    return digest
  }
}
