import type { B3Digest } from '@neve/castore-model'
import { ListedChunks } from '@neve/castore-services/blob/embedded'
import type { ChunkName } from './load-chunk.js'

/** A piece of a file, with its place, in bytes. */
export interface Piece extends ChunkName {
  readonly start: number
}

/** The pieces of a file, in order. */
export interface FilePieces {
  readonly count: number
  /** Length of the file in bytes. */
  readonly size: number
  /** @param index below {@link count} */
  at(index: number): Piece
  /** The index of the piece that has the byte at `offset`; of the last one for what lies behind the end. */
  indexFor(offset: number): number
}

/** A file that is stored in one piece. */
export function onePiece(digest: B3Digest, size: number): FilePieces {
  const piece = { digest, start: 0, size }
  return { count: 1, size, at: () => piece, indexFor: () => 0 }
}

/**
 * A file with a stored list of its chunks, which is used as it is stored: most files are opened to read little of them.
 *
 * @param backend what errors call the store
 * @throws DataLossError when the list cannot be right
 */
export function listedPieces(digest: B3Digest, list: Uint8Array, backend: string): FilePieces {
  const chunks = new ListedChunks(digest, list, backend)
  return {
    count: chunks.count,
    size: Number(chunks.size),
    at(index) {
      const chunk = chunks.at(index)
      return { digest: chunk.digest, start: Number(chunk.start), size: Number(chunk.size) }
    },
    indexFor: (offset) => chunks.indexFor(BigInt(offset)) ?? chunks.count - 1,
  }
}
