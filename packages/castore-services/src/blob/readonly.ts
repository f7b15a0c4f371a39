import type { B3Digest } from '@neve/castore-model'
import type { BlobReader, BlobService, BlobWriter, ChunkMeta, GetBlobOptions } from '../blob-service.js'
import type { CallOptions } from '../call-options.js'
import { CastoreError } from '../errors.js'
import { BlobWriterBase } from './writer-base.js'

/** Lets reads through to another blob service, and refuses every write with `unsupported`. */
export class ReadonlyBlobService implements BlobService {
  readonly #inner: Pick<BlobService, 'has' | 'open' | 'chunks' | 'get'>

  /** @param inner stays the caller's, who closes it */
  constructor(inner: Pick<BlobService, 'has' | 'open' | 'chunks' | 'get'>) {
    this.#inner = inner
  }

  async has(digest: B3Digest, options?: CallOptions): Promise<boolean> {
    return this.#inner.has(digest, options)
  }

  async open(digest: B3Digest, options?: CallOptions): Promise<BlobReader | undefined> {
    return this.#inner.open(digest, options)
  }

  openWrite(options?: CallOptions): BlobWriter {
    return new RefusingBlobWriter(options)
  }

  async chunks(digest: B3Digest, options?: CallOptions): Promise<readonly ChunkMeta[] | undefined> {
    return this.#inner.chunks(digest, options)
  }

  async get(digest: B3Digest, options?: GetBlobOptions): Promise<Uint8Array | undefined> {
    return this.#inner.get(digest, options)
  }

  async put(_content: Uint8Array, { signal }: CallOptions = {}): Promise<B3Digest> {
    signal?.throwIfAborted()
    throw readonlyRefusal('put a blob')
  }
}

/** What a service that cannot be written to answers. */
export function readonlyRefusal(call: string): CastoreError {
  return new CastoreError('unsupported', `cannot ${call}: the service is read-only`)
}

/** A writer that takes nothing: `openWrite` itself has no way to fail. */
export class RefusingBlobWriter extends BlobWriterBase {
  protected accept(): never {
    throw readonlyRefusal('write a blob')
  }

  protected drain(): never {
    throw readonlyRefusal('write a blob')
  }

  protected commit(): never {
    throw readonlyRefusal('write a blob')
  }

  protected discard(): void {}
}
