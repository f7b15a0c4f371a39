import { B3Digest } from '@neve/castore-model'
import type { ChunkMeta } from '../blob-service.js'
import { DataLossError } from '../errors.js'
import { MAX_CHUNK_SIZE, type PlacedChunk, type PlacedChunks } from './chunk-table.js'

const LIST_ENTRY = 36

/** One chunk of a stored list: its digest and its length in bytes. */
export interface ListedChunk {
  readonly digest: Uint8Array
  readonly size: number
}

/** The stored form of a blob's chunk list: digest and u32 length of each. */
export function encodeChunkList(chunks: readonly ListedChunk[]): Uint8Array {
  const list = Buffer.alloc(chunks.length * LIST_ENTRY)
  for (const [i, chunk] of chunks.entries()) {
    list.set(chunk.digest, i * LIST_ENTRY)
    list.writeUInt32LE(chunk.size, i * LIST_ENTRY + 32)
  }
  return list
}

/** Reads a stored chunk list. */
export function decodeChunkList(digest: B3Digest, list: Uint8Array, backend: string): ChunkMeta[] {
  checkListLength(digest, list, backend)
  const view = Buffer.from(list.buffer, list.byteOffset, list.byteLength)
  const chunks: ChunkMeta[] = []
  for (let at = 0; at < list.length; at += LIST_ENTRY) {
    chunks.push({
      digest: B3Digest.from(list.subarray(at, at + 32)),
      size: BigInt(view.readUInt32LE(at + 32)),
    })
  }
  return chunks
}

/** The length of the blob that a stored chunk list is of, in bytes. */
export function chunkListSize(digest: B3Digest, list: Uint8Array, backend: string): bigint {
  checkListLength(digest, list, backend)
  const view = Buffer.from(list.buffer, list.byteOffset, list.byteLength)
  let size = 0
  for (let at = 32; at < list.length; at += LIST_ENTRY) size += view.readUInt32LE(at)
  return BigInt(size)
}

function checkListLength(digest: B3Digest, list: Uint8Array, backend: string): void {
  if (list.length === 0 || list.length % LIST_ENTRY !== 0) {
    throw new DataLossError(
      digest,
      backend,
      `chunk list of ${digest} has ${list.length} bytes, expected a multiple of ${LIST_ENTRY}`,
    )
  }
}

/**
 * A stored chunk list with the offsets computed. It is used as it is stored: a file of 4 GiB has 16,000 chunks, and who
 * reads somewhere in it needs few of them.
 */
export class ListedChunks implements PlacedChunks {
  readonly size: bigint
  readonly count: number
  readonly #list: Buffer
  readonly #starts: Float64Array

  /** @throws DataLossError when the list cannot be right */
  constructor(digest: B3Digest, list: Uint8Array, backend: string) {
    checkListLength(digest, list, backend)
    this.#list = Buffer.from(list.buffer, list.byteOffset, list.byteLength)
    this.count = list.length / LIST_ENTRY
    this.#starts = new Float64Array(this.count + 1)
    for (let index = 0; index < this.count; index++) {
      const size = this.#sizeAt(index)
      if (size === 0 || size > MAX_CHUNK_SIZE) {
        const detail = `bad chunk list for blob ${digest}: chunk #${index} has size ${size}`
        throw new DataLossError(digest, backend, `${detail}, expected 1 to ${MAX_CHUNK_SIZE}`)
      }
      this.#starts[index + 1] = this.#starts[index]! + size
    }
    this.size = BigInt(this.#starts[this.count]!)
  }

  at(index: number): PlacedChunk {
    const at = index * LIST_ENTRY
    return {
      digest: B3Digest.from(this.#list.subarray(at, at + 32)),
      size: BigInt(this.#sizeAt(index)),
      start: BigInt(this.#starts[index]!),
    }
  }

  indexFor(position: bigint): number | undefined {
    if (position < 0n || position >= this.size) return undefined
    const wanted = Number(position)
    let low = 0
    let high = this.count - 1
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      if (this.#starts[middle]! <= wanted) low = middle
      else high = middle - 1
    }
    return low
  }

  #sizeAt(index: number): number {
    return this.#list.readUInt32LE(index * LIST_ENTRY + 32)
  }
}
