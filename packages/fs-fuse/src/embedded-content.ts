import { B3Digest, blake3, Directory, equalBytes } from '@neve/castore-model'
import { type CallOptions, DataLossError } from '@neve/castore-services'
import { decodeChunkList } from '@neve/castore-services/blob/embedded'
import type { ContentReader, EmbeddedStore } from '@neve/embedded-store'
import { ChunkReader } from './chunk-reader.js'
import type { ChunkPart, ChunkPool } from './chunk-threads/chunk-pool.js'
import type { Content, FileContent, ReadTicket } from './content.js'
import { type ChunkName, chunkReaderOf } from './load-chunk.js'

/** How far ahead of a reader in order chunks are loaded, in bytes, and how many by one thread at once. */
const AHEAD = 6 * 1024 * 1024
const AHEAD_CHUNKS = 4

/** A piece of a file, with its place. */
interface Piece extends ChunkName {
  readonly start: number
}

/** Contents of an embedded store, read by the calling thread without waiting: for a thread that does nothing else. */
export class EmbeddedContent implements Content {
  readonly #engine: EmbeddedStore
  readonly #chunks: ChunkReader
  readonly #shared: ContentReader
  readonly #pool: (() => ChunkPool) | undefined

  /**
   * @param engine stays the caller's
   * @param pool gives threads for files of several chunks; it is asked when there is one. Default: none
   */
  constructor(engine: EmbeddedStore, pool?: () => ChunkPool) {
    this.#engine = engine
    this.#chunks = new ChunkReader(engine)
    this.#shared = chunkReaderOf(engine)
    this.#pool = pool
  }

  directory(digest: B3Digest): Directory | undefined {
    const bytes = this.#engine.get('directories', digest.bytes) ?? this.#again('directories', digest)
    if (bytes === undefined) return undefined
    const backend = `embedded:${this.#engine.path}`
    if (!equalBytes(blake3.digest(bytes), digest.bytes)) {
      throw new DataLossError(digest, backend, `directory ${digest} has another hash`)
    }
    try {
      return Directory.decode(bytes)
    } catch (error) {
      throw new DataLossError(digest, backend, `directory ${digest} cannot be decoded`, { cause: error })
    } finally {
      this.#engine.refresh()
    }
  }

  open(digest: B3Digest): FileContent | undefined {
    if (digest.equals(B3Digest.EMPTY)) return { readAt: () => [], close: () => {} }
    try {
      const location = this.#engine.locate(digest.bytes)
      if (location !== undefined) return this.#file([{ digest, start: 0, size: location.rawLength }])
      const list = this.#engine.get('blobs', digest.bytes) ?? this.#again('blobs', digest)
      if (list === undefined) return undefined
      let start = 0
      const pieces = decodeChunkList(digest, list, `embedded:${this.#engine.path}`).map((chunk) => {
        const piece = { digest: chunk.digest, start, size: Number(chunk.size) }
        start += piece.size
        return piece
      })
      return this.#file(pieces)
    } finally {
      this.#engine.refresh()
    }
  }

  #file(pieces: readonly Piece[]): FileContent {
    // One piece is read in the order of the tree, with its neighbours; many in the order of the file.
    if (pieces.length === 1) return new EmbeddedFile(pieces, this.#chunks, this.#shared, undefined)
    return new EmbeddedFile(pieces, this.#chunks, chunkReaderOf(this.#engine), this.#pool?.())
  }

  /** Somebody may have stored it since the last look at the tables. */
  #again(table: 'directories' | 'blobs', digest: B3Digest): Uint8Array | undefined {
    this.#engine.refresh()
    return this.#engine.get(table, digest.bytes)
  }
}

class EmbeddedFile implements FileContent {
  readonly #pieces: readonly Piece[]
  readonly #size: number
  readonly #chunks: ChunkReader
  readonly #reader: ContentReader
  readonly #pool: ChunkPool | undefined
  /** Where a read in order would begin. */
  #next = 0
  /** The first piece that was not loaded ahead. */
  #ahead = 0

  constructor(
    pieces: readonly Piece[],
    chunks: ChunkReader,
    reader: ContentReader,
    pool: ChunkPool | undefined,
  ) {
    this.#pieces = pieces
    const last = pieces.at(-1)
    this.#size = last === undefined ? 0 : last.start + last.size
    this.#chunks = chunks
    this.#reader = reader
    this.#pool = pool
  }

  readAt(
    offset: number,
    length: number,
    _?: CallOptions,
    ticket?: ReadTicket,
  ): readonly Uint8Array[] | undefined {
    const parts = this.#partsOf(offset, offset + length)
    const inOrder = offset === this.#next
    this.#next = offset + length
    if (ticket !== undefined && this.#pool?.isUp) {
      const found = this.#fromPool(this.#pool, parts, ticket, inOrder)
      if (found !== 'failed') return found
    }
    return parts.map(({ chunk, from, to }) => {
      const bytes = this.#chunks.read(chunk, this.#reader, from > 0 || to < chunk.size)
      return from === 0 && to === chunk.size ? bytes : bytes.subarray(from, to)
    })
  }

  /** @returns undefined when a thread answers, 'failed' when none does */
  #fromPool(
    pool: ChunkPool,
    parts: readonly (ChunkPart & { readonly chunk: Piece })[],
    ticket: ReadTicket,
    inOrder: boolean,
  ): readonly Uint8Array[] | 'failed' | undefined {
    const surplus = inOrder ? [] : parts.filter(({ chunk }) => !pool.has(chunk))
    const found = pool.find(parts)
    if (found === undefined && !pool.load(parts, ticket, inOrder)) return 'failed'
    for (const { chunk } of surplus) pool.feed(chunk, ticket.node, chunk.start, this.#size)
    if (inOrder) this.#loadAhead(pool)
    return found
  }

  /** Has chunks loaded that a reader in order will ask for next. */
  #loadAhead(pool: ChunkPool): void {
    const here = this.#indexFor(this.#next)
    if (this.#ahead <= here || this.#ahead > here + 100) this.#ahead = here + 1
    const run = this.#pieces.slice(this.#ahead, this.#ahead + AHEAD_CHUNKS)
    if (run.length === 0 || run[0]!.start > this.#next + AHEAD) return
    const parts = run.map((chunk) => ({ chunk, from: 0, to: chunk.size }))
    if (pool.load(parts, undefined, true)) this.#ahead += run.length
  }

  close(): void {}

  #partsOf(offset: number, end: number): (ChunkPart & { readonly chunk: Piece })[] {
    const parts: (ChunkPart & { readonly chunk: Piece })[] = []
    for (let index = this.#indexFor(offset); index < this.#pieces.length; index++) {
      const chunk = this.#pieces[index]!
      if (chunk.start >= end) break
      const from = Math.max(0, offset - chunk.start)
      const to = Math.min(chunk.size, end - chunk.start)
      if (from < to) parts.push({ chunk, from, to })
    }
    return parts
  }

  #indexFor(offset: number): number {
    let low = 0
    let high = this.#pieces.length - 1
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      if (this.#pieces[middle]!.start <= offset) low = middle
      else high = middle - 1
    }
    return low
  }
}
