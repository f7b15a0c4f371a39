import { B3Digest, blake3 } from '@neve/castore-model'
import type { BlobReader, ByteRange, ChunkMeta } from '../blob-service.js'
import type { CallOptions } from '../call-options.js'
import { LruMap } from '../concurrency/lru-map.js'
import { mapOrdered } from '../concurrency/map-ordered.js'
import { SingleFlight } from '../concurrency/single-flight.js'
import { CastoreError, DataLossError } from '../errors.js'
import { checkedByChunk } from './by-chunk.js'
import { ChunkTable, type PlacedChunk, type PlacedChunks } from './chunk-table.js'
import { readableLength } from './read-range.js'

/**
 * Gets the plain bytes of one chunk, whole, in an array that nobody changes afterwards; undefined when it is missing.
 * It must not look for chunks of the chunk.
 */
export type FetchChunk = (chunk: ChunkMeta, options: CallOptions) => Promise<Uint8Array | undefined>

/** What a {@link ChunkedBlobReader} reads, and how. */
export interface ChunkedBlobReaderInit {
  /** The blob's digest. */
  readonly digest: B3Digest
  /** The blob's chunks in order, at least one. An array is checked as {@link ChunkTable} does. */
  readonly chunks: readonly ChunkMeta[] | PlacedChunks
  readonly fetch: FetchChunk
  /**
   * Reads the blob from its beginning in one go, unchecked: faster than chunk by chunk, which is what the rest is read
   * by when this fails. Used when the blob is streamed whole. Default: there is no such way.
   */
  readonly readAll?: ((options: CallOptions) => AsyncIterable<Uint8Array>) | undefined
  /** Where the chunks come from, for messages. */
  readonly backend: string
  /** How many chunks to keep for later reads. Default: 4. */
  readonly cachedChunks?: number | undefined
  /** How many chunks to fetch at once when reading in order. Default: 4. */
  readonly concurrency?: number | undefined
  /** Whether to hash each chunk; no for a `fetch` that has done so. Default: true. */
  readonly verifyChunks?: boolean | undefined
  /** Whether to hash the blob when it is streamed whole, since a chunk list can lie; no for lists of one's own. Default: true. */
  readonly verifyWhole?: boolean | undefined
  /** Called before a read fails because a chunk is missing or wrong, or the list lies. */
  readonly onDataLoss?: (() => void) | undefined
}

/** Presents the chunks of a blob as one reader (spec 02 section 7, with the weaknesses of section 20 mended). Opening does no I/O. */
export class ChunkedBlobReader implements BlobReader {
  readonly size: bigint
  readonly #init: ChunkedBlobReaderInit
  readonly #table: PlacedChunks
  readonly #cache: LruMap<string, Uint8Array>
  readonly #flights = new SingleFlight<string, Uint8Array>()
  readonly #concurrency: number
  #closed = false

  /** @throws as {@link ChunkTable} when the list cannot be right */
  constructor(init: ChunkedBlobReaderInit) {
    this.#init = init
    const { digest, chunks, backend } = init
    this.#table = 'indexFor' in chunks ? chunks : new ChunkTable(digest, chunks, backend)
    this.#cache = new LruMap(init.cachedChunks ?? 4)
    this.#concurrency = init.concurrency ?? 4
    this.size = this.#table.size
  }

  async readAt(offset: bigint, length: number, options: CallOptions = {}): Promise<Uint8Array> {
    options.signal?.throwIfAborted()
    this.#expectOpen()
    const wanted = readableLength(this.size, offset, length)
    if (wanted === 0) return new Uint8Array(0)
    const range = { start: offset, end: offset + BigInt(wanted) }
    const first = this.#table.at(this.#table.indexFor(offset)!)
    if (range.end <= first.start + first.size) {
      return within(first, await this.#load(first, options.signal, true), range)
    }
    const bytes = new Uint8Array(wanted)
    let at = 0
    for await (const piece of this.#pieces(range, true, options)) {
      bytes.set(piece, at)
      at += piece.length
    }
    return bytes
  }

  async *stream(range: ByteRange, options: CallOptions = {}): AsyncGenerator<Uint8Array, void, undefined> {
    options.signal?.throwIfAborted()
    this.#expectOpen()
    if (this.#init.verifyWhole === false || range.start > 0n || range.end < this.size) {
      yield* this.#pieces(range, false, options)
      return
    }
    const hasher = blake3.hasher()
    let left = this.size
    for await (const piece of this.#allPieces(range, options)) {
      hasher.update(piece)
      left -= BigInt(piece.length)
      // The last piece is held until the whole is known to be right, so that nobody takes a wrong blob for complete.
      if (left === 0n) this.#expectWhole(B3Digest.adopt(hasher.digest()))
      yield piece
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#cache.clear()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #expectOpen(): void {
    if (this.#closed) throw new CastoreError('closed', 'the blob reader is already closed')
  }

  #expectWhole(actual: B3Digest): void {
    const { digest, backend } = this.#init
    if (actual.equals(digest)) return
    this.#init.onDataLoss?.()
    throw new DataLossError(digest, backend, `the chunks of blob ${digest} make up ${actual}`)
  }

  /** The pieces of the whole blob, each chunk checked. */
  async *#allPieces(range: ByteRange, options: CallOptions): AsyncGenerator<Uint8Array, void, undefined> {
    const { readAll, digest, backend } = this.#init
    let start = 0n
    if (readAll !== undefined) {
      try {
        for await (const pieces of checkedByChunk(digest, this.#table, readAll(options), backend)) {
          yield* pieces
          for (const piece of pieces) start += BigInt(piece.length)
        }
        return
      } catch (error) {
        options.signal?.throwIfAborted()
        if (!(error instanceof CastoreError)) throw error
      }
    }
    yield* this.#pieces({ start, end: range.end }, false, options)
  }

  #pieces(range: ByteRange, keep: boolean, { signal }: CallOptions): AsyncIterable<Uint8Array> {
    const work = async (chunk: PlacedChunk, stop: AbortSignal) =>
      within(chunk, await this.#load(chunk, stop, keep), range)
    return mapOrdered(this.#overlapping(range), this.#concurrency, work, { signal })
  }

  *#overlapping(range: ByteRange): Generator<PlacedChunk> {
    const { count } = this.#table
    if (range.start === range.end) return
    for (let index = this.#table.indexFor(range.start) ?? count; index < count; index++) {
      const chunk = this.#table.at(index)
      if (chunk.start >= range.end) return
      yield chunk
    }
  }

  async #load(chunk: PlacedChunk, signal: AbortSignal | undefined, keep: boolean): Promise<Uint8Array> {
    const key = chunk.digest.key
    const cached = this.#cache.get(key)
    if (cached !== undefined) return checkLength(chunk, cached, this.#init.backend)
    const bytes = await this.#flights.run(key, (stop) => this.#fetch(chunk, stop), { signal })
    if (keep && !this.#closed) this.#cache.set(key, bytes)
    return checkLength(chunk, bytes, this.#init.backend)
  }

  async #fetch(chunk: PlacedChunk, signal: AbortSignal): Promise<Uint8Array> {
    try {
      return await this.#fetchVerified(chunk, signal)
    } catch (error) {
      if (error instanceof DataLossError) this.#init.onDataLoss?.()
      throw error
    }
  }

  async #fetchVerified(chunk: PlacedChunk, signal: AbortSignal): Promise<Uint8Array> {
    const { fetch, backend, digest: blob, verifyChunks = true } = this.#init
    const { digest } = chunk
    const bytes = await fetch({ digest, size: chunk.size }, { signal })
    if (bytes === undefined) {
      throw new DataLossError(digest, backend, `chunk not found: ${digest} of blob ${blob}`)
    }
    // Before the hash: a wrong length is what a lying list or a bomb gives, and costs nothing to see.
    checkLength(chunk, bytes, backend)
    if (!verifyChunks) return bytes
    const actual = B3Digest.of(bytes)
    if (!actual.equals(digest)) {
      throw new DataLossError(digest, backend, `chunk contents invalid: expected ${digest}, got ${actual}`)
    }
    return bytes
  }
}

function checkLength(chunk: ChunkMeta, bytes: Uint8Array, backend: string): Uint8Array {
  if (BigInt(bytes.length) === chunk.size) return bytes
  const detail = `chunk ${chunk.digest} has ${bytes.length} bytes, expected ${chunk.size}`
  throw new DataLossError(chunk.digest, backend, detail)
}

/** The bytes of a chunk that lie in the range. */
function within(chunk: PlacedChunk, bytes: Uint8Array, range: ByteRange): Uint8Array {
  const from = range.start > chunk.start ? Number(range.start - chunk.start) : 0
  const end = range.end - chunk.start
  return from === 0 && end >= chunk.size ? bytes : bytes.subarray(from, Number(end))
}
