import { B3Digest, blake3, Directory, equalBytes } from '@neve/castore-model'
import { type CallOptions, DataLossError } from '@neve/castore-services'
import type { ContentReader, EmbeddedStore } from '@neve/embedded-store'
import { ChunkReader } from './chunk-reader.js'
import type { ChunkPart, ChunkPool } from './chunk-threads/chunk-pool.js'
import type { Content, FileContent, ReadTicket } from './content.js'
import { type FilePieces, listedPieces, onePiece, type Piece } from './file-pieces.js'
import { chunkReaderOf, loadChunk } from './load-chunk.js'

/** How far ahead of a reader in order chunks are loaded, in bytes, and how many by one thread at once. */
const AHEAD = 6 * 1024 * 1024
const AHEAD_CHUNKS = 4

/** A part of a file, in the piece that has it. */
interface FilePart extends ChunkPart {
  readonly chunk: Piece
}

/** Contents of an embedded store, read by the calling thread without waiting: for a thread that does nothing else. */
export class EmbeddedContent implements Content {
  readonly #engine: EmbeddedStore
  readonly #chunks: ChunkReader
  readonly #shared: ContentReader
  readonly #pool: (() => ChunkPool | undefined) | undefined

  /**
   * @param engine stays the caller's
   * @param pool gives threads for files of several chunks, if there are any; it is asked when one is opened. Default: none
   */
  constructor(engine: EmbeddedStore, pool?: () => ChunkPool | undefined) {
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
      if (location !== undefined) return this.#file(onePiece(digest, location.rawLength))
      const list = this.#engine.get('blobs', digest.bytes) ?? this.#again('blobs', digest)
      if (list === undefined) return undefined
      return this.#file(listedPieces(digest, list, `embedded:${this.#engine.path}`))
    } finally {
      this.#engine.refresh()
    }
  }

  #file(pieces: FilePieces): FileContent {
    // One piece is read in the order of the tree, with its neighbours; many in the order of the file.
    if (pieces.count === 1)
      return new EmbeddedFile(this.#engine, pieces, this.#chunks, this.#shared, undefined)
    return new EmbeddedFile(this.#engine, pieces, this.#chunks, chunkReaderOf(this.#engine), this.#pool?.())
  }

  /** Somebody may have stored it since the last look at the tables. */
  #again(table: 'directories' | 'blobs', digest: B3Digest): Uint8Array | undefined {
    this.#engine.refresh()
    return this.#engine.get(table, digest.bytes)
  }
}

class EmbeddedFile implements FileContent {
  readonly #engine: EmbeddedStore
  readonly #pieces: FilePieces
  readonly #chunks: ChunkReader
  readonly #reader: ContentReader
  readonly #pool: ChunkPool | undefined
  /** Where a read in order would begin. */
  #next = 0
  /** The first piece that was not loaded ahead. */
  #ahead = 0

  constructor(
    engine: EmbeddedStore,
    pieces: FilePieces,
    chunks: ChunkReader,
    reader: ContentReader,
    pool: ChunkPool | undefined,
  ) {
    this.#engine = engine
    this.#pieces = pieces
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
    if (ticket !== undefined && this.#pool !== undefined) {
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
    parts: readonly FilePart[],
    ticket: ReadTicket,
    inOrder: boolean,
  ): readonly Uint8Array[] | 'failed' | undefined {
    const { isUp } = pool
    if (!isUp) {
      for (const { chunk } of parts) {
        pool.fill(chunk, (out) => loadChunk(this.#engine, chunk, this.#reader, out) === undefined)
      }
    }
    const found = pool.find(parts)
    if (found === undefined && !(isUp && pool.load(parts, ticket, inOrder))) return 'failed'
    if (inOrder) this.#loadAhead(pool)
    else for (const { chunk } of parts) pool.feed(chunk, ticket.node, chunk.start, this.#pieces.size)
    return found
  }

  /** Has chunks loaded that a reader in order will ask for next. */
  #loadAhead(pool: ChunkPool): void {
    const here = this.#pieces.indexFor(this.#next)
    if (this.#ahead <= here || this.#ahead > here + 100) this.#ahead = here + 1
    const end = Math.min(this.#ahead + AHEAD_CHUNKS, this.#pieces.count)
    const parts: FilePart[] = []
    for (let index = this.#ahead; index < end; index++) {
      const chunk = this.#pieces.at(index)
      if (index === this.#ahead && chunk.start > this.#next + AHEAD) return
      parts.push({ chunk, from: 0, to: chunk.size })
    }
    if (parts.length > 0 && pool.load(parts, undefined, true)) this.#ahead = end
  }

  close(): void {}

  #partsOf(offset: number, end: number): FilePart[] {
    const parts: FilePart[] = []
    for (let index = this.#pieces.indexFor(offset); index < this.#pieces.count; index++) {
      const chunk = this.#pieces.at(index)
      if (chunk.start >= end) break
      const from = Math.max(0, offset - chunk.start)
      const to = Math.min(chunk.size, end - chunk.start)
      if (from < to) parts.push({ chunk, from, to })
    }
    return parts
  }
}
