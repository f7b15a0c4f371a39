import { B3Digest } from '@neve/castore-model'
import type { ChunkSizes } from '@neve/fastcdc'
import { Status } from 'nice-grpc-common'
import type { FramedBlob, FramedBlobs } from '../blob/framed-blobs.js'
import { BlobWriterBase } from '../blob/writer-base.js'
import type {
  BlobReader,
  BlobService,
  BlobWriter,
  ChunkMeta,
  GetBlobOptions,
  OpenBlobOptions,
} from '../blob-service.js'
import type { CallOptions } from '../call-options.js'
import { splitBlobService } from '../split/split-blob-service.js'
import { GrpcBlobListStore } from './blob-list-store.js'
import { type GrpcBlobServiceOptions, UnsplitBlobService } from './blob-service.js'
import type { GrpcChannel } from './channel.js'
import { GrpcChunkStore } from './chunk-store.js'
import { FramedUploads } from './framed-uploads.js'
import { GrpcStatusError } from './status-error.js'

/** What nobody has: the answer says only whether the service is there. */
const NOBODY = B3Digest.from(new Uint8Array(B3Digest.LENGTH))

/**
 * The blobs of a gRPC server, Tvix's, Snix' or ours: by way of `BlobService` (spec 02 section 14), or, of a server that
 * does not have that under either name, of `ChunkStoreService` and `BlobStoreService` (spec 10). Which one it is is
 * found out with the first call and remembered.
 *
 * Nothing that the server says is believed: contents are hashed before anybody sees them.
 */
export class GrpcBlobService implements BlobService, FramedBlobs {
  readonly #unsplit: BlobService
  readonly #split: BlobService
  readonly #framed: FramedUploads
  #preferred: BlobService
  #settled = false

  /** @param channel stays the caller's: closing the service does not close it */
  constructor(channel: GrpcChannel, options?: GrpcBlobServiceOptions) {
    this.#unsplit = new UnsplitBlobService(channel, options)
    this.#split = splitBlobService({
      chunks: new GrpcChunkStore(channel),
      lists: new GrpcBlobListStore(channel),
      backend: channel.name,
    })
    this.#framed = new FramedUploads(channel)
    this.#preferred = this.#unsplit
  }

  get chunkSizes(): ChunkSizes {
    return this.#framed.chunkSizes
  }

  takesFrames(options?: CallOptions): Promise<boolean> {
    return this.#framed.takesFrames(options)
  }

  putFramed(blobs: readonly FramedBlob[], options?: CallOptions): Promise<void> {
    return this.#framed.putFramed(blobs, options)
  }

  has(digest: B3Digest, options?: CallOptions): Promise<boolean> {
    return this.#either(digest, (blobs) => blobs.has(digest, options))
  }

  open(digest: B3Digest, options?: OpenBlobOptions): Promise<BlobReader | undefined> {
    return this.#either(digest, (blobs) => blobs.open(digest, options))
  }

  openWrite(options?: CallOptions): BlobWriter {
    if (this.#settled) return this.#preferred.openWrite(options)
    return new UndecidedBlobWriter((signal) => this.#settle(signal), options)
  }

  chunks(digest: B3Digest, options?: CallOptions): Promise<readonly ChunkMeta[] | undefined> {
    return this.#either(digest, (blobs) => blobs.chunks(digest, options))
  }

  get(digest: B3Digest, options?: GetBlobOptions): Promise<Uint8Array | undefined> {
    return this.#either(digest, (blobs) => blobs.get(digest, options))
  }

  put(content: Uint8Array, options?: CallOptions): Promise<B3Digest> {
    return this.#either(content, (blobs) => blobs.put(content, options))
  }

  /** Which of the two the server has. */
  async #settle(signal: AbortSignal): Promise<BlobService> {
    if (!this.#settled) await this.#either(NOBODY, (blobs) => blobs.has(NOBODY, { signal }))
    return this.#preferred
  }

  /** @param about what the call is about: of the empty blob nobody is asked, which says nothing about the server */
  async #either<T>(about: B3Digest | Uint8Array, call: (blobs: BlobService) => Promise<T>): Promise<T> {
    const first = this.#preferred
    try {
      const result = await call(first)
      if (about instanceof Uint8Array ? about.length > 0 : !about.equals(B3Digest.EMPTY)) this.#settled = true
      return result
    } catch (error) {
      if (!isUnimplemented(error)) throw error
      return await this.#other(first, error, call)
    }
  }

  async #other<T>(
    first: BlobService,
    refusal: unknown,
    call: (blobs: BlobService) => Promise<T>,
  ): Promise<T> {
    const second = first === this.#unsplit ? this.#split : this.#unsplit
    try {
      const result = await call(second)
      this.#preferred = second
      this.#settled = true
      return result
    } catch (error) {
      // When it has neither, what it said of the usual one is what helps.
      throw isUnimplemented(error) ? refusal : error
    }
  }
}

/** Writes to whichever service there is, when there is something to write. */
class UndecidedBlobWriter extends BlobWriterBase {
  readonly #settle: (signal: AbortSignal) => Promise<BlobService>
  #inner: BlobWriter | undefined

  constructor(settle: (signal: AbortSignal) => Promise<BlobService>, options?: CallOptions) {
    super(options)
    this.#settle = settle
  }

  protected async accept(bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    this.#inner ??= (await this.#settle(signal)).openWrite()
    await this.#inner.write(bytes, { signal })
  }

  protected async drain(signal: AbortSignal): Promise<void> {
    await this.#inner?.flush({ signal })
  }

  protected async commit(signal: AbortSignal): Promise<B3Digest> {
    this.#inner ??= (await this.#settle(signal)).openWrite()
    return await this.#inner.close({ signal })
  }

  protected async discard(reason: unknown): Promise<void> {
    await this.#inner?.abort(reason)
  }
}

function isUnimplemented(error: unknown): boolean {
  return error instanceof GrpcStatusError && error.status === Status.UNIMPLEMENTED
}
