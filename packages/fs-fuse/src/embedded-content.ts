import { B3Digest, blake3, Directory, equalBytes } from '@neve/castore-model'
import { DataLossError } from '@neve/castore-services'
import { decodeChunkList } from '@neve/castore-services/blob/embedded'
import type { ContentReader, EmbeddedStore } from '@neve/embedded-store'
import { ChunkReader } from './chunk-reader.js'
import type { Content, FileContent } from './content.js'

/** A piece of a file, with its place. */
interface Piece {
  readonly digest: B3Digest
  readonly start: number
  readonly size: number
}

/** Contents of an embedded store, read by the calling thread without waiting: for a thread that does nothing else. */
export class EmbeddedContent implements Content {
  readonly #engine: EmbeddedStore
  readonly #chunks: ChunkReader
  readonly #shared: ContentReader

  /** @param engine stays the caller's */
  constructor(engine: EmbeddedStore) {
    this.#engine = engine
    this.#chunks = new ChunkReader(engine)
    this.#shared = this.#chunks.reader()
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
    const reader = pieces.length === 1 ? this.#shared : this.#chunks.reader()
    return new EmbeddedFile(pieces, this.#chunks, reader)
  }

  /** Somebody may have stored it since the last look at the tables. */
  #again(table: 'directories' | 'blobs', digest: B3Digest): Uint8Array | undefined {
    this.#engine.refresh()
    return this.#engine.get(table, digest.bytes)
  }
}

class EmbeddedFile implements FileContent {
  onSurplus: ((offset: number, bytes: Uint8Array) => void) | undefined
  readonly #pieces: readonly Piece[]
  readonly #chunks: ChunkReader
  readonly #reader: ContentReader
  /** Where a read in order would begin. */
  #next = 0

  constructor(pieces: readonly Piece[], chunks: ChunkReader, reader: ContentReader) {
    this.#pieces = pieces
    this.#chunks = chunks
    this.#reader = reader
  }

  readAt(offset: number, length: number): readonly Uint8Array[] {
    const end = offset + length
    const inOrder = offset === this.#next
    this.#next = end
    const out: Uint8Array[] = []
    for (let index = this.#indexFor(offset); index < this.#pieces.length; index++) {
      const piece = this.#pieces[index]!
      if (piece.start >= end) break
      const from = Math.max(0, offset - piece.start)
      const to = Math.min(piece.size, end - piece.start)
      if (from >= to) break
      const partly = from > 0 || to < piece.size
      const isNew = partly && !inOrder && !this.#chunks.keeps(piece.digest)
      const bytes = this.#chunks.read(piece, this.#reader, partly)
      if (isNew) this.onSurplus?.(piece.start, bytes)
      out.push(from === 0 && to === piece.size ? bytes : bytes.subarray(from, to))
    }
    return out
  }

  close(): void {}

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
