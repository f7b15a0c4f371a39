import { B3Digest, type Blake3Hasher, blake3 } from '@neve/castore-model'
import type { BlobService, BlobWriter } from '../blob-service.js'
import type { CallOptions } from '../call-options.js'
import { expectStored } from '../combine/expect-digest.js'
import { withAll } from '../combine/mirror-write-error.js'
import type { NamedStore } from '../combine/named-stores.js'
import { PriorityBlobService } from './priority.js'
import { BlobWriterBase } from './writer-base.js'

export { type MirrorFailure, MirrorWriteError } from '../combine/mirror-write-error.js'
export type { StoresInit } from '../combine/named-stores.js'

/**
 * Keeps every blob in all of several services. A write succeeds only when all of them have the blob; else it fails with
 * a MirrorWriteError that names those that have not, and may be tried again. Reads are those of `PriorityBlobService`:
 * one store that has the blob undamaged is enough.
 *
 * The stores stay the caller's, who closes them.
 */
export class MirrorBlobService extends PriorityBlobService {
  override openWrite(options?: CallOptions): BlobWriter {
    return new MirrorBlobWriter(this.stores, options)
  }

  override async put(content: Uint8Array, options: CallOptions = {}): Promise<B3Digest> {
    options.signal?.throwIfAborted()
    const digest = B3Digest.of(content)
    const store = async (blobs: BlobService, index: number) =>
      expectStored(await blobs.put(content, options), digest, this.stores[index]!.name)
    await withAll(this.stores, store, options.signal)
    return digest
  }
}

class MirrorBlobWriter extends BlobWriterBase {
  readonly #writers: readonly NamedStore<BlobWriter>[]
  readonly #hasher: Blake3Hasher = blake3.hasher()

  constructor(stores: readonly NamedStore<BlobService>[], options?: CallOptions) {
    super(options)
    this.#writers = stores.map(({ name, service }) => ({ name, service: service.openWrite() }))
  }

  protected async accept(bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    this.#hasher.update(bytes)
    await withAll(this.#writers, (writer) => writer.write(bytes, { signal }), signal)
  }

  protected async drain(signal: AbortSignal): Promise<void> {
    await withAll(this.#writers, (writer) => writer.flush({ signal }), signal)
  }

  protected async commit(signal: AbortSignal): Promise<B3Digest> {
    const digest = B3Digest.adopt(this.#hasher.digest())
    const close = async (writer: BlobWriter, index: number) =>
      expectStored(await writer.close({ signal }), digest, this.#writers[index]!.name)
    await withAll(this.#writers, close, signal)
    return digest
  }

  protected async discard(reason: unknown): Promise<void> {
    await Promise.all(this.#writers.map(({ service }) => service.abort(reason)))
  }
}
