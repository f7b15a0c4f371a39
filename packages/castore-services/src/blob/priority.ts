import type { B3Digest } from '@neve/castore-model'
import type { BlobReader, BlobService, BlobWriter, ChunkMeta, GetBlobOptions } from '../blob-service.js'
import type { CallOptions } from '../call-options.js'
import { firstAnswer, type NamedStore, namedStores, type StoresInit } from '../combine/named-stores.js'
import type { OnTrouble } from '../combine/trouble.js'
import { FailoverBlobReader, type OpenOneBlob } from './failover-reader.js'
import { properList } from './piece.js'
import { RefusingBlobWriter, readonlyRefusal } from './readonly.js'

/**
 * Reads from the first of several services that has a blob undamaged, and goes on at the next where one fails with
 * `unavailable`, `data-loss` or `storage`, in the middle of a read too. Where none has it and one could not be asked,
 * that one's error is the answer. Writes are `unsupported`: see `MirrorBlobService`.
 */
export class PriorityBlobService implements BlobService {
  protected readonly stores: readonly NamedStore<BlobService>[]
  readonly #onTrouble: OnTrouble | undefined

  constructor(init: StoresInit<BlobService>) {
    this.stores = namedStores(init)
    this.#onTrouble = init.onTrouble
  }

  async has(digest: B3Digest, options: CallOptions = {}): Promise<boolean> {
    const found = await this.#first(async (blobs) => (await blobs.has(digest, options)) || undefined, options)
    return found ?? false
  }

  async open(digest: B3Digest, options: CallOptions = {}): Promise<BlobReader | undefined> {
    const found = await this.#first(async (blobs, store) => {
      const reader = await blobs.open(digest, options)
      return reader && { reader, store }
    }, options)
    if (found === undefined) return undefined
    const places = this.stores.map(({ name, service }) => {
      const open: OpenOneBlob = (call) => service.open(digest, call)
      return { name, service: open }
    })
    return new FailoverBlobReader(places, found.reader, this.stores.indexOf(found.store), this.#onTrouble)
  }

  async chunks(digest: B3Digest, options: CallOptions = {}): Promise<readonly ChunkMeta[] | undefined> {
    return properList(await this.#first((blobs) => blobs.chunks(digest, options), options))
  }

  async get(digest: B3Digest, options: GetBlobOptions = {}): Promise<Uint8Array | undefined> {
    return this.#first((blobs) => blobs.get(digest, options), options)
  }

  openWrite(options?: CallOptions): BlobWriter {
    return new RefusingBlobWriter(options)
  }

  async put(_content: Uint8Array, { signal }: CallOptions = {}): Promise<B3Digest> {
    signal?.throwIfAborted()
    throw readonlyRefusal('put a blob')
  }

  #first<T>(
    ask: (blobs: BlobService, store: NamedStore<BlobService>) => Promise<T | undefined>,
    options: CallOptions,
  ): Promise<T | undefined> {
    return firstAnswer(this.stores, ask, options, this.#onTrouble)
  }
}
