import { B3Digest } from '@neve/castore-model'
import { type ChunkSizes, chunkSizes } from '@neve/fastcdc'
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
import { SlotAllowance } from '../concurrency/slot-threads.js'
import { BlobTooLargeError, CastoreError, DataLossError } from '../errors.js'
import type { ObjectStore } from '../object-store/object-store.js'
import { framedChunk } from './chunk-frames.js'
import { ChunkLists } from './chunk-lists.js'
import { ChunkObjects } from './chunk-objects.js'
import { ChunkedBlobReader } from './chunked-reader.js'
import { FrameThreads } from './frame-threads.js'
import type { FramedBlob, FramedChunk, FramedChunks } from './framed-blobs.js'
import { MemoryBlobReader } from './memory-reader.js'
import { ObjectStoreBlobWriter } from './object-store-writer.js'
import { ReadonlyBlobService } from './readonly.js'

/** Options of {@link ObjectStoreBlobService}. */
export interface ObjectStoreBlobServiceInit {
  /** Where objects are kept. It stays the caller's: the service does not close it. */
  readonly store: ObjectStore
  /** Average length of the chunks that blobs are cut into, in bytes, 512 to 2097152. Default: 262144. */
  readonly averageChunkSize?: number | undefined
  /** How many requests to have under way at once. Default: what suits the store, or 32. */
  readonly concurrency?: number | undefined
  /** How many chunks a reader fetches ahead when it reads in order. Default: 8. */
  readonly readAhead?: number | undefined
  /** The most plain bytes of a chunk that is opened by its own digest. Default: 16 MiB, the most that FastCDC makes. */
  readonly maxChunkSize?: number | undefined
  /**
   * Whether a put of something that is there fetches and verifies it, so that it is written again if it is damaged. If
   * not, any object that is not empty counts as sound. Default: true.
   */
  readonly verifyExisting?: boolean | undefined
  /** False for who only looks, and stores nothing: see {@link BlobService.withoutUse}. Default: true. */
  readonly recordsUse?: boolean | undefined
  /** How many threads hash and compress what is written. Default: the machine's, at most 8. */
  readonly threads?: number | undefined
}

/** Content up to this length is hashed and compressed where `put` is called, in bytes. */
const SMALL = 16 * 1024
/** Slots of all writers: so many for each thread, and as many again on their way into the store. */
const SLOTS_PER_THREAD = 3
const SLOTS_IN_TRANSIT = 6
const NOTHING = new Uint8Array(0)

/**
 * Blobs in an object store, in the layout of the reference, which can read what this writes and the other way round
 * (spec 02 section 11): chunks, cut at content-defined boundaries, as zstd frames under `chunks/b3/`, and what a blob
 * is made of under `blobs/b3/`. Every read is verified. A write is acknowledged when the store has it.
 */
export class ObjectStoreBlobService implements BlobService, FramedChunks {
  /** How blobs are cut, in bytes. */
  readonly chunkSizes: ChunkSizes
  readonly #backend: string
  readonly #readAhead: number
  readonly #objects: ChunkObjects
  readonly #lists: ChunkLists
  readonly #threads: FrameThreads
  readonly #slots: SlotAllowance
  readonly #init: ObjectStoreBlobServiceInit
  #closed = false

  /** @throws CastoreError `invalid-input` when an option is out of range */
  constructor(init: ObjectStoreBlobServiceInit) {
    const { store, averageChunkSize = 262144, concurrency = store.concurrency ?? 32 } = init
    const { readAhead = 8, maxChunkSize = 16 * 1024 * 1024, threads } = init
    const { verifyExisting = true, recordsUse = true } = init
    this.#init = init
    expectInteger('average chunk size', averageChunkSize, 512, 2097152)
    expectInteger('concurrency', concurrency, 1, 65536)
    expectInteger('read-ahead', readAhead, 1, 65536)
    expectInteger('maximum chunk size', maxChunkSize, 1, 2 ** 31 - 1)
    this.chunkSizes = chunkSizes(averageChunkSize)
    this.#backend = `objectstore+${store.name}`
    this.#readAhead = readAhead
    const backend = this.#backend
    const objects = { store, backend, maxChunkSize, concurrency, verifyExisting, recordsUse }
    this.#objects = new ChunkObjects(objects)
    this.#lists = new ChunkLists(this.#objects, backend)
    this.#threads = new FrameThreads({ maxChunk: this.chunkSizes.max, count: threads })
    this.#slots = new SlotAllowance(this.#threads, this.#threads.count * SLOTS_PER_THREAD + SLOTS_IN_TRANSIT)
  }

  async has(digest: B3Digest, { signal }: CallOptions = {}): Promise<boolean> {
    this.#begin(signal)
    if (digest.equals(B3Digest.EMPTY)) return true
    return (await this.#lists.has(digest, { signal })) || (await this.#objects.has(digest, { signal }))
  }

  async open(digest: B3Digest, options: OpenBlobOptions = {}): Promise<BlobReader | undefined> {
    this.#begin(options.signal)
    const found = await this.#find(digest, options)
    if (found === undefined) return undefined
    return found instanceof Uint8Array ? new MemoryBlobReader(found) : this.#chunkedReader(digest, found)
  }

  openWrite(options?: CallOptions): BlobWriter {
    const init = {
      objects: this.#objects,
      threads: this.#threads,
      slots: this.#slots,
      sizes: this.chunkSizes,
      putSmall: (content: Uint8Array, call: CallOptions) => this.#putSmall(content, call),
      putList: (blob: B3Digest, chunks: readonly ChunkMeta[], call: CallOptions) =>
        this.#lists.ensure(blob, chunks, false, call),
    }
    return new ObjectStoreBlobWriter(init, options)
  }

  async chunks(digest: B3Digest, { signal }: CallOptions = {}): Promise<readonly ChunkMeta[] | undefined> {
    this.#begin(signal)
    if (digest.equals(B3Digest.EMPTY)) return []
    const list = await this.#lists.get(digest, { signal })
    if (list !== undefined && (await this.#lists.hold(digest, { signal }))) return list
    return (await this.#objects.has(digest, { signal })) ? [] : undefined
  }

  async get(digest: B3Digest, options: GetBlobOptions = {}): Promise<Uint8Array | undefined> {
    const { maxSize = DEFAULT_GET_MAX_SIZE, signal } = options
    this.#begin(signal)
    const found = await this.#find(digest, options)
    if (found === undefined) return undefined
    if (found instanceof Uint8Array) {
      if (found.length > maxSize) throw new BlobTooLargeError(digest, BigInt(found.length), maxSize)
      return found
    }
    await using reader = this.#chunkedReader(digest, found)
    if (reader.size > BigInt(maxSize)) throw new BlobTooLargeError(digest, reader.size, maxSize)
    return await reader.readAt(0n, Number(reader.size), { signal })
  }

  async put(content: Uint8Array, options: CallOptions = {}): Promise<B3Digest> {
    this.#begin(options.signal)
    if (content.length <= this.chunkSizes.min) return this.#putSmall(content, options)
    await using writer = this.openWrite(options)
    await writer.write(content)
    return await writer.close()
  }

  withoutUse(): BlobService {
    return new ReadonlyBlobService(new ObjectStoreBlobService({ ...this.#init, recordsUse: false }))
  }

  async takesFrames(): Promise<boolean> {
    return true
  }

  async putFramed(blobs: readonly FramedBlob[], options: CallOptions = {}): Promise<void> {
    this.#begin(options.signal)
    const chunks = blobs.flatMap((blob) => blob.chunks)
    const written = await this.#objects.ensureAll(chunks, options)
    let at = 0
    const lists = blobs.map(({ digest, chunks }) => {
      const news = written.slice(at, at + chunks.length)
      at += chunks.length
      return { digest, chunks: listOf(chunks), expectNew: chunks.length > 0 && news.every((is) => is) }
    })
    await this.#lists.ensureAll(lists, options)
  }

  async putFramedChunks(chunks: readonly FramedChunk[], { signal }: CallOptions = {}): Promise<boolean> {
    this.#begin(signal)
    const written = await this.#objects.ensureAll(chunks, { signal })
    return written.length > 0 && written.every((is) => is)
  }

  async putFramedList(
    digest: B3Digest,
    chunks: readonly Pick<FramedChunk, 'digest' | 'size'>[],
    expectNew: boolean,
    { signal }: CallOptions = {},
  ): Promise<void> {
    this.#begin(signal)
    await this.#lists.ensure(digest, listOf(chunks), expectNew, { signal })
  }

  /** Lets go of threads and caches. Writers that are open fail. The store stays open. */
  async close(): Promise<void> {
    this.#closed = true
    this.#lists.clear()
    await this.#threads.close()
  }

  #begin(signal: AbortSignal | undefined): void {
    signal?.throwIfAborted()
    if (this.#closed) throw new CastoreError('closed', 'the blob service is already closed')
  }

  /** The content of a blob of one chunk, or the list of one of several. */
  async #find(
    digest: B3Digest,
    { sizeHint = 0n, signal }: OpenBlobOptions,
  ): Promise<Uint8Array | readonly ChunkMeta[] | undefined> {
    if (digest.equals(B3Digest.EMPTY)) return NOTHING
    const options = { signal }
    const known = this.#lists.cached(digest)
    if (known !== undefined && known.length > 0) return known
    if (sizeHint > BigInt(this.chunkSizes.max)) {
      // Not one chunk, unless somebody else cuts differently.
      const expected = await this.#lists.get(digest, options)
      if (expected !== undefined && expected.length > 0) return expected
    }
    const content = await this.#objects.fetch('chunks', digest, options)
    if (content !== undefined) return content
    const list = await this.#lists.get(digest, options)
    if (list !== undefined && list.length > 0) return list
    const newer = await this.#objects.fetch('chunk', digest, options)
    if (newer !== undefined || list === undefined) return newer
    throw new DataLossError(digest, this.#backend, `blob ${digest} is listed, but its only chunk is missing`)
  }

  #chunkedReader(digest: B3Digest, chunks: readonly ChunkMeta[]): ChunkedBlobReader {
    return new ChunkedBlobReader({
      digest,
      chunks,
      backend: this.#backend,
      fetch: (chunk, options) => this.#objects.fetchListed(chunk, options),
      concurrency: this.#readAhead,
      verifyChunks: false,
      onDataLoss: () => this.#lists.forget(digest),
    })
  }

  async #putSmall(content: Uint8Array, options: CallOptions): Promise<B3Digest> {
    if (content.length === 0) {
      await this.putFramed([{ digest: B3Digest.EMPTY, chunks: [] }], options)
      return B3Digest.EMPTY
    }
    if (content.length <= SMALL) {
      const digest = B3Digest.of(content)
      const frame = framedChunk(content)
      await this.putFramed([{ digest, chunks: [{ digest, size: content.length, frame }] }], options)
      return digest
    }
    const slot = await this.#slots.take(options)
    try {
      slot.raw.set(content)
      const { digests, frames } = await this.#threads.run({ slot, lengths: [content.length] })
      const digest = B3Digest.adopt(digests)
      const frame = slot.packed.subarray(0, frames[0])
      await this.putFramed([{ digest, chunks: [{ digest, size: content.length, frame }] }], options)
      return digest
    } finally {
      this.#slots.give(slot)
    }
  }
}

function listOf(chunks: readonly Pick<FramedChunk, 'digest' | 'size'>[]): ChunkMeta[] {
  return chunks.map(({ digest, size }) => ({ digest, size: BigInt(size) }))
}

function expectInteger(what: string, value: number, least: number, most: number): void {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return
  throw new CastoreError('invalid-input', `invalid ${what}: expected ${least} to ${most}, got ${value}`)
}
