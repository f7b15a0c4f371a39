import { B3Digest } from '@neve/castore-model'
import type { BlobListStore } from '../blob-list-store.js'
import type { ChunkMeta } from '../blob-service.js'
import type { CallOptions } from '../call-options.js'
import { normalizedBlobList } from './blob-list.js'

/** Keeps chunk lists in this process' memory, without a bound. It does not know the chunks. */
export class MemoryBlobListStore implements BlobListStore {
  readonly #lists = new Map<string, readonly ChunkMeta[]>([[B3Digest.EMPTY.key, []]])

  async has(digest: B3Digest, { signal }: CallOptions = {}): Promise<boolean> {
    signal?.throwIfAborted()
    return this.#lists.has(digest.key)
  }

  async get(digest: B3Digest, { signal }: CallOptions = {}): Promise<readonly ChunkMeta[] | undefined> {
    signal?.throwIfAborted()
    return this.#lists.get(digest.key)
  }

  async put(digest: B3Digest, chunks: readonly ChunkMeta[], { signal }: CallOptions = {}): Promise<void> {
    signal?.throwIfAborted()
    const list = normalizedBlobList(digest, chunks)
    if (!this.#lists.has(digest.key)) this.#lists.set(digest.key, [...list])
  }
}
