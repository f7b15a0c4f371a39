import { type B3Digest, blake3 } from '@neve/castore-model'
import { DataLossError } from '../errors.js'
import type { PlacedChunk, PlacedChunks } from './chunk-table.js'

/**
 * Checks a stream against a chunk list: the pieces of each chunk are given when all of the chunk was found to be right.
 * They are views of the stream's pieces. What comes after the last chunk is left.
 *
 * @param blob whose list it is
 * @param backend where the stream comes from, for messages
 * @throws DataLossError for a chunk that is wrong or cut off; errors of the stream pass through
 */
export async function* checkedByChunk(
  blob: B3Digest,
  chunks: PlacedChunks,
  stream: AsyncIterable<Uint8Array>,
  backend: string,
): AsyncGenerator<readonly Uint8Array[], void, undefined> {
  let index = 0
  let left = Number(chunks.at(0).size)
  let held: Uint8Array[] = []
  for await (const piece of stream) {
    for (let at = 0; at < piece.length; ) {
      const end = Math.min(piece.length, at + left)
      const part = at === 0 && end === piece.length ? piece : piece.subarray(at, end)
      held.push(part)
      left -= part.length
      at = end
      if (left > 0) break
      expectDigest(chunks.at(index), held, backend)
      yield held
      held = []
      index += 1
      if (index === chunks.count) return
      left = Number(chunks.at(index).size)
    }
  }
  throw new DataLossError(blob, backend, `blob ${blob} ended early, in chunk #${index}`)
}

function expectDigest({ digest }: PlacedChunk, pieces: readonly Uint8Array[], backend: string): void {
  const hasher = blake3.hasher()
  for (const piece of pieces) hasher.update(piece)
  const actual = hasher.digest()
  if (Buffer.compare(actual, digest.bytes) === 0) return
  throw new DataLossError(digest, backend, `chunk contents invalid: expected ${digest}`)
}
