import { B3Digest } from '@neve/castore-model'
import type { BlobReader, BlobService, BlobWriter, ChunkMeta, GetBlobOptions } from '../blob-service.js'
import { DEFAULT_GET_MAX_SIZE } from '../blob-service.js'
import type { CallOptions } from '../call-options.js'
import { BlobTooLargeError } from '../errors.js'
import { MemoryBlobReader } from './memory-reader.js'
import { BlobWriterBase } from './writer-base.js'

const NOTHING = new Uint8Array(0)

/** Keeps blobs in this process' memory, without a bound (spec 02 section 9). It does not chunk. */
export class MemoryBlobService implements BlobService {
  readonly #blobs = new Map<string, Uint8Array>([[B3Digest.EMPTY.key, NOTHING]])

  async has(digest: B3Digest, { signal }: CallOptions = {}): Promise<boolean> {
    signal?.throwIfAborted()
    return this.#blobs.has(digest.key)
  }

  async open(digest: B3Digest, { signal }: CallOptions = {}): Promise<BlobReader | undefined> {
    signal?.throwIfAborted()
    const content = this.#blobs.get(digest.key)
    return content && new MemoryBlobReader(content)
  }

  openWrite(options?: CallOptions): BlobWriter {
    return new MemoryBlobWriter((content) => this.#store(content), options)
  }

  async chunks(digest: B3Digest, options?: CallOptions): Promise<readonly ChunkMeta[] | undefined> {
    return (await this.has(digest, options)) ? [] : undefined
  }

  async get(digest: B3Digest, options: GetBlobOptions = {}): Promise<Uint8Array | undefined> {
    const { maxSize = DEFAULT_GET_MAX_SIZE, signal } = options
    signal?.throwIfAborted()
    const content = this.#blobs.get(digest.key)
    if (content !== undefined && content.length > maxSize) {
      throw new BlobTooLargeError(digest, BigInt(content.length), maxSize)
    }
    return content
  }

  async put(content: Uint8Array, { signal }: CallOptions = {}): Promise<B3Digest> {
    signal?.throwIfAborted()
    return this.#store(new Uint8Array(content))
  }

  #store(content: Uint8Array): B3Digest {
    const digest = B3Digest.of(content)
    const key = digest.key
    if (!this.#blobs.has(key)) this.#blobs.set(key, content)
    return digest
  }
}

class MemoryBlobWriter extends BlobWriterBase {
  #pieces: Uint8Array[] = []
  #length = 0
  readonly #store: (content: Uint8Array) => B3Digest

  constructor(store: (content: Uint8Array) => B3Digest, options?: CallOptions) {
    super(options)
    this.#store = store
  }

  protected accept(bytes: Uint8Array): void {
    this.#pieces.push(new Uint8Array(bytes))
    this.#length += bytes.length
  }

  protected drain(): void {}

  protected commit(): B3Digest {
    const content = new Uint8Array(this.#length)
    let at = 0
    for (const piece of this.#pieces) {
      content.set(piece, at)
      at += piece.length
    }
    this.#pieces = []
    return this.#store(content)
  }

  protected discard(): void {
    this.#pieces = []
  }
}
