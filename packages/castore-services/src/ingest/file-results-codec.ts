import type { ChunkResult, FileFailure, FileResult, ReadFilesResult } from './file-tasks-protocol.js'

/** The results of one task as two flat arrays: hundreds of small objects are slow to send between threads. */
export interface FlatFileResults {
  readonly type: 'flat'
  readonly numbers: Float64Array
  readonly digests: Uint8Array
  readonly failure: FileFailure | undefined
}

const EXECUTABLE = 1
const LARGE = 2
const SEEN = 4
const DIGEST = 8
const PER_FILE = 8
const PER_CHUNK = 3

export function flattenResults(result: ReadFilesResult): FlatFileResults {
  let chunks = 0
  for (const file of result.files) chunks += file.chunks.length
  const numbers = new Float64Array(result.files.length * PER_FILE + chunks * PER_CHUNK)
  const digests = new Uint8Array((result.files.length + chunks) * 32)
  let n = 0
  let d = 0
  for (const file of result.files) {
    numbers[n++] = file.size
    numbers[n++] =
      (file.executable ? EXECUTABLE : 0) |
      (file.large ? LARGE : 0) |
      (file.seen === undefined ? 0 : SEEN) |
      (file.digest === undefined ? 0 : DIGEST)
    numbers[n++] = file.rawOffset
    numbers[n++] = file.seen?.device ?? 0
    numbers[n++] = file.seen?.inode ?? 0
    numbers[n++] = file.seen?.modified ?? 0
    numbers[n++] = file.seen?.changed ?? 0
    numbers[n++] = file.chunks.length
    if (file.digest !== undefined) digests.set(file.digest, d)
    d += 32
    for (const chunk of file.chunks) {
      numbers[n++] = chunk.size
      numbers[n++] = chunk.recordOffset
      numbers[n++] = chunk.storedLength
      digests.set(chunk.digest, d)
      d += 32
    }
  }
  return { type: 'flat', numbers, digests, failure: result.failure }
}

export function unflattenResults(flat: FlatFileResults): ReadFilesResult {
  const { numbers, digests } = flat
  const files: FileResult[] = []
  let d = 0
  for (let n = 0; n < numbers.length; ) {
    const flags = numbers[n + 1]!
    const digest = (flags & DIGEST) !== 0 ? digests.subarray(d, d + 32) : undefined
    const base = {
      size: numbers[n]!,
      executable: (flags & EXECUTABLE) !== 0,
      digest,
      rawOffset: numbers[n + 2]!,
      large: (flags & LARGE) !== 0,
      seen:
        (flags & SEEN) === 0
          ? undefined
          : {
              device: numbers[n + 3]!,
              inode: numbers[n + 4]!,
              modified: numbers[n + 5]!,
              changed: numbers[n + 6]!,
            },
    }
    const count = numbers[n + 7]!
    n += PER_FILE
    d += 32
    const chunks: ChunkResult[] = []
    for (let i = 0; i < count; i++) {
      chunks.push({
        digest: digests.subarray(d, d + 32),
        size: numbers[n]!,
        recordOffset: numbers[n + 1]!,
        storedLength: numbers[n + 2]!,
      })
      n += PER_CHUNK
      d += 32
    }
    files.push({ ...base, chunks })
  }
  return { files, failure: flat.failure }
}
