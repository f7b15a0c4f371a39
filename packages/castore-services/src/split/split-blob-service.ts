import { B3Digest } from '@neve/castore-model'
import { chunkSizes } from '@neve/fastcdc'
import { ChunkedBlobReader } from '../blob/chunked-reader.js'
import { MemoryBlobReader } from '../blob/memory-reader.js'
import { blobStream } from '../blob/stream.js'
import type { BlobListStore } from '../blob-list-store.js'
import type {
  BlobReader,
  BlobService,
  BlobWriter,
  ChunkMeta,
  GetBlobOptions,
  OpenBlobOptions,
} from '../blob-service.js'
import { DEFAULT_GET_MAX_SIZE } from '../blob-service.js'
import type { CallOptions } from '../call-options.js'
import { type ChunkStore, DEFAULT_MAX_CHUNK_SIZE } from '../chunk-store.js'
import { BlobTooLargeError, CastoreError, DataLossError } from '../errors.js'
import { trustedBlobList } from './blob-list.js'
import { SplitBlobWriter } from './split-blob-writer.js'

const NOTHING = new Uint8Array(0)

/** What {@link splitBlobService} is made of. */
export interface SplitBlobServiceInit {
  readonly chunks: ChunkStore
  readonly lists: BlobListStore
  /** Where both are, for messages. Default: `split`. */
  readonly backend?: string | undefined
  /** Bytes per chunk on average, from 512 to 2097152. Default: 256 KiB. */
  readonly averageChunkSize?: number | undefined
  /** The largest chunk to take, in bytes: it is held in memory whole. Default: 64 MiB. */
  readonly maxChunkSize?: number | undefined
  /** How many chunks a reader fetches at once when it reads in order. Default: 32. */
  readonly readConcurrency?: number | undefined
  /** How many chunks a writer stores at once. Default: 32. */
  readonly writeConcurrency?: number | undefined
  /**
   * Whether a writer asks for each chunk first, and sends those only that are missing: it saves the way of what is there,
   * and leaves it as it is where it is damaged. Default: false, which heals.
   */
  readonly skipPresent?: boolean | undefined
}

/**
 * A blob service made of its two halves: a store of chunks and one of the lists of chunks (spec 10). Blobs are cut by
 * content; chunks are stored before their list.
 *
 * A `sizeHint` below half the average chunk size makes `open` and `get` look for a chunk of the blob's own digest first,
 * and for a list only when there is none: one look-up for a small blob. Without it the list comes first.
 *
 * @throws FastCdcError when the average is out of range
 */
export function splitBlobService(init: SplitBlobServiceInit): BlobService {
  return new SplitBlobService(init)
}

class SplitBlobService implements BlobService {
  readonly #init: SplitBlobServiceInit
  readonly #chunks: ChunkStore
  readonly #lists: BlobListStore
  readonly #backend: string
  readonly #maxChunkSize: number
  /** A blob of up to this many bytes is one chunk, whatever is in it. */
  readonly #smallSize: number

  constructor(init: SplitBlobServiceInit) {
    this.#init = init
    this.#chunks = init.chunks
    this.#lists = init.lists
    this.#backend = init.backend ?? 'split'
    this.#maxChunkSize = init.maxChunkSize ?? DEFAULT_MAX_CHUNK_SIZE
    this.#smallSize = chunkSizes(init.averageChunkSize).min
  }

  async has(digest: B3Digest, options: CallOptions = {}): Promise<boolean> {
    options.signal?.throwIfAborted()
    if (digest.equals(B3Digest.EMPTY)) return true
    return (await this.#lists.has(digest, options)) || (await this.#chunks.has(digest, options))
  }

  async chunks(digest: B3Digest, options: CallOptions = {}): Promise<readonly ChunkMeta[] | undefined> {
    options.signal?.throwIfAborted()
    if (digest.equals(B3Digest.EMPTY)) return []
    const list = await this.#list(digest, options)
    if (list === undefined) return (await this.#chunks.has(digest, options)) ? [] : undefined
    return list.length > 1 ? list : []
  }

  async open(digest: B3Digest, options: OpenBlobOptions = {}): Promise<BlobReader | undefined> {
    return await this.#open(digest, this.#maxChunkSize, options)
  }

  openWrite(options?: CallOptions): BlobWriter {
    return new SplitBlobWriter(this.#init, options)
  }

  async get(digest: B3Digest, options: GetBlobOptions = {}): Promise<Uint8Array | undefined> {
    const { maxSize = DEFAULT_GET_MAX_SIZE, signal } = options
    await using reader = await this.#open(digest, Math.min(maxSize, this.#maxChunkSize), options)
    if (reader === undefined) return undefined
    if (reader.size > BigInt(maxSize)) throw new BlobTooLargeError(digest, reader.size, maxSize)
    if (reader instanceof MemoryBlobReader) return await reader.readAt(0n, Number(reader.size))
    // In order and to the end, because that checks the whole: the list may lie.
    const content = new Uint8Array(Number(reader.size))
    let at = 0
    for await (const piece of blobStream(reader, { signal })) {
      content.set(piece, at)
      at += piece.length
    }
    return content
  }

  async put(content: Uint8Array, options: CallOptions = {}): Promise<B3Digest> {
    options.signal?.throwIfAborted()
    if (content.length === 0) return B3Digest.EMPTY
    if (content.length > this.#smallSize) {
      await using writer = this.openWrite(options)
      await writer.write(content)
      return await writer.close()
    }
    const digest = await this.#chunks.put(content, options)
    await this.#lists.put(digest, [{ digest, size: BigInt(content.length) }], options)
    return digest
  }

  /** @param maxSize the most bytes to take of a chunk that is the whole blob */
  async #open(
    digest: B3Digest,
    maxSize: number,
    { sizeHint, signal }: OpenBlobOptions,
  ): Promise<BlobReader | undefined> {
    signal?.throwIfAborted()
    if (digest.equals(B3Digest.EMPTY)) return new MemoryBlobReader(NOTHING)
    const probed = sizeHint !== undefined && sizeHint < BigInt(this.#smallSize)
    if (probed) {
      const whole = await this.#probe(digest, maxSize, Number(sizeHint), signal)
      if (whole !== undefined) return new MemoryBlobReader(whole)
    }
    const list = await this.#list(digest, { signal })
    if (list === undefined) {
      // What has no list may be a chunk of another blob.
      const chunk = probed ? undefined : await this.#chunks.get(digest, { maxSize, signal })
      return chunk && new MemoryBlobReader(chunk)
    }
    const [only] = list
    if (only !== undefined && list.length === 1) {
      return new MemoryBlobReader(await this.#only(only, maxSize, signal))
    }
    return new ChunkedBlobReader({
      digest,
      chunks: list,
      backend: this.#backend,
      fetch: (chunk, options) => this.#fetch(chunk, this.#maxChunkSize, options.signal),
      concurrency: this.#init.readConcurrency ?? 32,
      // The store has checked it already.
      verifyChunks: false,
    })
  }

  async #probe(
    digest: B3Digest,
    maxSize: number,
    sizeHint: number,
    signal: AbortSignal | undefined,
  ): Promise<Uint8Array | undefined> {
    try {
      return await this.#chunks.get(digest, { maxSize, sizeHint, signal })
    } catch (error) {
      // A store over a blob service says so of a large blob, whose list may be had all the same.
      if (error instanceof CastoreError && error.code === 'too-large') return undefined
      throw error
    }
  }

  async #list(digest: B3Digest, options: CallOptions): Promise<readonly ChunkMeta[] | undefined> {
    const list = await this.#lists.get(digest, options)
    return list && trustedBlobList(digest, list, this.#backend)
  }

  /** The one chunk that is the blob. */
  async #only(chunk: ChunkMeta, maxSize: number, signal: AbortSignal | undefined): Promise<Uint8Array> {
    const { digest, size } = chunk
    const content = await this.#fetch(chunk, maxSize, signal)
    if (content === undefined) {
      throw new DataLossError(digest, this.#backend, `chunk not found: ${digest}, the only one of its blob`)
    }
    if (BigInt(content.length) !== size) {
      const detail = `chunk ${digest} has ${content.length} bytes, expected ${size}`
      throw new DataLossError(digest, this.#backend, detail)
    }
    return content
  }

  async #fetch(
    { digest, size }: ChunkMeta,
    maxSize: number,
    signal: AbortSignal | undefined,
  ): Promise<Uint8Array | undefined> {
    if (size > BigInt(maxSize)) throw new BlobTooLargeError(digest, size, maxSize)
    const length = Number(size)
    try {
      return await this.#chunks.get(digest, { maxSize: length, sizeHint: length, signal })
    } catch (error) {
      if (!(error instanceof BlobTooLargeError)) throw error
      const detail = `chunk ${digest} has ${error.size} bytes, expected ${size}`
      throw new DataLossError(digest, this.#backend, detail, { cause: error })
    }
  }
}
