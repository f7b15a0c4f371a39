import type {
  ChunkResult,
  FileFailure,
  FileResult,
  FileSeen,
  ReadFilesResult,
} from './file-tasks-protocol.js'

/**
 * The results of one task in two flat arrays: hundreds of small objects are slow to send between threads. A file has
 * eight numbers and a digest, each of its chunks three numbers and a digest; a single chunk has the file's digest.
 */

const EXECUTABLE = 1
const LARGE = 2
const SEEN = 4
const PER_FILE = 8
const PER_CHUNK = 3

/** Collects the results of one task. */
export class FileResultsWriter {
  #numbers = new Float64Array(PER_FILE * 64)
  #digests = new Uint8Array(32 * 128)
  #n = 0
  #d = 0

  file(file: Omit<FileResult, 'chunks' | 'seen'>, seen: FileSeen | undefined, chunks: number): void {
    if (this.#n + PER_FILE > this.#numbers.length) this.#grow()
    const numbers = this.#numbers
    const n = this.#n
    numbers[n] = file.size
    numbers[n + 1] =
      (file.executable ? EXECUTABLE : 0) | (file.large ? LARGE : 0) | (seen === undefined ? 0 : SEEN)
    numbers[n + 2] = file.rawOffset
    if (seen !== undefined) {
      numbers[n + 3] = seen.device
      numbers[n + 4] = seen.inode
      numbers[n + 5] = seen.modified
      numbers[n + 6] = seen.changed
    }
    numbers[n + 7] = chunks
    this.#n = n + PER_FILE
    this.#digest(file.digest)
  }

  chunk(chunk: ChunkResult): void {
    if (this.#n + PER_CHUNK > this.#numbers.length) this.#grow()
    this.#numbers[this.#n++] = chunk.size
    this.#numbers[this.#n++] = chunk.recordOffset
    this.#numbers[this.#n++] = chunk.storedLength
    this.#digest(chunk.digest)
  }

  finish(failure: FileFailure | undefined): ReadFilesResult {
    return { numbers: this.#numbers.slice(0, this.#n), digests: this.#digests.slice(0, this.#d), failure }
  }

  #digest(digest: Uint8Array | undefined): void {
    if (this.#d + 32 > this.#digests.length) {
      const larger = new Uint8Array(this.#digests.length * 2)
      larger.set(this.#digests)
      this.#digests = larger
    }
    if (digest !== undefined) this.#digests.set(digest, this.#d)
    this.#d += 32
  }

  #grow(): void {
    const larger = new Float64Array(this.#numbers.length * 2)
    larger.set(this.#numbers)
    this.#numbers = larger
  }
}

const NO_CHUNKS: readonly ChunkResult[] = []

/** Reads the results back. The digests are views of the result. */
export function readFileResults({ numbers, digests }: ReadFilesResult): FileResult[] {
  const files: FileResult[] = []
  let d = 0
  for (let n = 0; n < numbers.length; ) {
    const flags = numbers[n + 1]!
    const large = (flags & LARGE) !== 0
    const count = numbers[n + 7]!
    const file = {
      size: numbers[n]!,
      executable: (flags & EXECUTABLE) !== 0,
      digest: large ? undefined : digests.subarray(d, d + 32),
      rawOffset: numbers[n + 2]!,
      large,
      seen:
        (flags & SEEN) === 0
          ? undefined
          : {
              device: numbers[n + 3]!,
              inode: numbers[n + 4]!,
              modified: numbers[n + 5]!,
              changed: numbers[n + 6]!,
            },
      chunks: count === 0 ? NO_CHUNKS : new Array<ChunkResult>(count),
    }
    n += PER_FILE
    d += 32
    for (let i = 0; i < count; i++) {
      ;(file.chunks as ChunkResult[])[i] = {
        digest: count === 1 && file.digest !== undefined ? file.digest : digests.subarray(d, d + 32),
        size: numbers[n]!,
        recordOffset: numbers[n + 1]!,
        storedLength: numbers[n + 2]!,
      }
      n += PER_CHUNK
      d += 32
    }
    files.push(file)
  }
  return files
}
