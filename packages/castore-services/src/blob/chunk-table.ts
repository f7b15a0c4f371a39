import type { B3Digest } from '@neve/castore-model'
import type { ChunkMeta } from '../blob-service.js'
import { CastoreError, DataLossError } from '../errors.js'

/** A chunk and where it lies in its blob. */
export interface PlacedChunk extends ChunkMeta {
  /** Position of its first byte in the blob. */
  readonly start: bigint
}

/** The chunks of a blob and where they lie in it. */
export interface PlacedChunks {
  /** Length of the blob in bytes. */
  readonly size: bigint
  /** How many there are, at least one. */
  readonly count: number
  /** The chunk at an index below {@link count}. */
  at(index: number): PlacedChunk
  /** Index of the chunk that holds the byte at `position`; undefined from the blob's end on. */
  indexFor(position: bigint): number | undefined
}

const MAX_SIZE = 2n ** 64n - 1n
// A piece is held in memory whole; a list that claims more than this is a lie or an attack.
export const MAX_CHUNK_SIZE: bigint = 2n ** 31n - 1n

/** A chunk list with the offsets computed, checked as far as that goes without reading (spec 02 sections 7.1 and 20). */
export class ChunkTable implements PlacedChunks {
  readonly entries: readonly PlacedChunk[]
  /** Length of the blob in bytes. */
  readonly size: bigint

  /**
   * @param blob whose list it is
   * @param chunks at least one
   * @param backend where the list comes from, for messages
   * @throws CastoreError `invalid-input` for an empty list: blobs that are not chunked are the caller's matter
   * @throws DataLossError when the list cannot be right: it names the blob itself, has a chunk without bytes or of
   *   more than 2 GiB, or adds up to more than 2^64-1
   */
  constructor(
    readonly blob: B3Digest,
    chunks: readonly ChunkMeta[],
    backend: string,
  ) {
    if (chunks.length === 0) {
      throw new CastoreError(
        'invalid-input',
        `empty chunk list for blob ${blob}: expected at least one chunk`,
      )
    }
    const refuse = (detail: string) =>
      new DataLossError(blob, backend, `bad chunk list for blob ${blob}: ${detail}`)
    const entries: PlacedChunk[] = []
    let start = 0n
    for (const [index, { digest, size }] of chunks.entries()) {
      if (digest.equals(blob)) throw refuse(`chunk #${index} is the blob itself`)
      if (size <= 0n || size > MAX_CHUNK_SIZE) {
        throw refuse(`chunk #${index} has size ${size}, expected 1 to ${MAX_CHUNK_SIZE}`)
      }
      entries.push({ digest, size, start })
      start += size
    }
    if (start > MAX_SIZE) throw refuse(`sizes add up to ${start}, expected at most ${MAX_SIZE}`)
    this.entries = entries
    this.size = start
  }

  get count(): number {
    return this.entries.length
  }

  at(index: number): PlacedChunk {
    return this.entries[index]!
  }

  indexFor(position: bigint): number | undefined {
    if (position < 0n || position >= this.size) return undefined
    let low = 0
    let high = this.entries.length - 1
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      if (this.entries[middle]!.start <= position) low = middle
      else high = middle - 1
    }
    return low
  }
}
