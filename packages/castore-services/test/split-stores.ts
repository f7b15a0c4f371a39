import { join } from 'node:path'
import type { B3Digest } from '@neve/castore-model'
import type {
  BlobListStore,
  CallOptions,
  ChunkMeta,
  ChunkStore,
  GetChunkOptions,
} from '@neve/castore-services'
import { EmbeddedBlobService } from '@neve/castore-services/blob/embedded'
import { EmbeddedStore } from '@neve/embedded-store'
import { damageContent, temporaryFolder } from './embedded-fixture.js'

/** Counts the calls that a chunk store gets, by name. */
export class CountingChunkStore implements ChunkStore {
  readonly calls: string[] = []
  readonly #inner: ChunkStore

  constructor(inner: ChunkStore) {
    this.#inner = inner
  }

  has(digest: B3Digest, options?: CallOptions): Promise<boolean> {
    this.calls.push('has')
    return this.#inner.has(digest, options)
  }

  get(digest: B3Digest, options?: GetChunkOptions): Promise<Uint8Array | undefined> {
    this.calls.push('get')
    return this.#inner.get(digest, options)
  }

  put(content: Uint8Array, options?: CallOptions): Promise<B3Digest> {
    this.calls.push('put')
    return this.#inner.put(content, options)
  }
}

/** Counts the calls that a list store gets, by name. */
export class CountingBlobListStore implements BlobListStore {
  readonly calls: string[] = []
  readonly #inner: BlobListStore

  constructor(inner: BlobListStore) {
    this.#inner = inner
  }

  has(digest: B3Digest, options?: CallOptions): Promise<boolean> {
    this.calls.push('has')
    return this.#inner.has(digest, options)
  }

  get(digest: B3Digest, options?: CallOptions): Promise<readonly ChunkMeta[] | undefined> {
    this.calls.push('get')
    return this.#inner.get(digest, options)
  }

  put(digest: B3Digest, chunks: readonly ChunkMeta[], options?: CallOptions): Promise<void> {
    this.calls.push('put')
    return this.#inner.put(digest, chunks, options)
  }
}

/** Blobs in a new embedded store, whose folder is removed after the tests. */
export async function embeddedBlobs(): Promise<EmbeddedBlobService> {
  return new EmbeddedBlobService(await EmbeddedStore.open(join(temporaryFolder(), 'store')))
}

/** Changes a stored byte of a blob, or of its middle chunk. */
export async function damageBlob(blobs: EmbeddedBlobService, digest: B3Digest): Promise<void> {
  const pieces = (await blobs.chunks(digest)) ?? []
  damageContent(blobs.engine, (pieces[pieces.length >> 1]?.digest ?? digest).bytes, 7)
}
