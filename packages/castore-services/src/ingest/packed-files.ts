import type { ChunkResult, PackFilesResult, ReadTreeResult } from './file-tasks-protocol.js'

/**
 * The chunks of the contents of one task in flat arrays: for each content how many it has, then three numbers for each
 * of them. Where a content has several, their digests are in an array of their own; a single one has the digest of its
 * content.
 */
const PER_CHUNK = 3

/** The content of a file that lies in the slot. */
export interface FileContent {
  readonly digest: Uint8Array
  readonly size: number
  /** Offset in the slot's raw part. */
  readonly rawOffset: number
  readonly chunks: readonly ChunkResult[]
}

/** Collects the chunks of contents, one after the other. */
export class PackedFilesWriter {
  readonly #numbers: number[] = []
  readonly #digests: Uint8Array[] = []

  content(chunks: readonly ChunkResult[]): void {
    this.#numbers.push(chunks.length)
    for (const { digest, size, recordOffset, storedLength } of chunks) {
      this.#numbers.push(size, recordOffset, storedLength)
      if (chunks.length > 1) this.#digests.push(digest)
    }
  }

  finish(): PackFilesResult {
    const chunkDigests = new Uint8Array(32 * this.#digests.length)
    this.#digests.forEach((digest, index) => {
      chunkDigests.set(digest, 32 * index)
    })
    return { chunks: Float64Array.from(this.#numbers), chunkDigests }
  }
}

/** The contents of a task, in order. Digests are views of the results. */
export function* contentsOf(
  { contents, digests }: ReadTreeResult,
  packed: PackFilesResult | undefined,
): Generator<FileContent, void, undefined> {
  let at = 0
  let chunkDigests = 0
  for (let index = 0; 2 * index < contents.length; index++) {
    const digest = digests.subarray(32 * index, 32 * index + 32)
    const chunks: ChunkResult[] = []
    const count = packed === undefined ? 0 : packed.chunks[at++]!
    for (let left = count; left > 0; left--, at += PER_CHUNK) {
      chunks.push({
        digest: count === 1 ? digest : packed!.chunkDigests.subarray(chunkDigests, chunkDigests + 32),
        size: packed!.chunks[at]!,
        recordOffset: packed!.chunks[at + 1]!,
        storedLength: packed!.chunks[at + 2]!,
      })
      if (count > 1) chunkDigests += 32
    }
    yield { digest, size: contents[2 * index]!, rawOffset: contents[2 * index + 1]!, chunks }
  }
}

/** Where the records of all chunks are. */
export function recordsOf({ chunks }: PackFilesResult): number[] {
  const offsets: number[] = []
  for (let at = 0; at < chunks.length; ) {
    for (let left = chunks[at++]!; left > 0; left--, at += PER_CHUNK) {
      const offset = chunks[at + 1]!
      if (offset >= 0) offsets.push(offset)
    }
  }
  return offsets
}
