import type { BlobReader } from '../blob-service.js'
import type { CallOptions } from '../call-options.js'
import { CastoreError } from '../errors.js'

/** Options of {@link blobStream}. */
export interface BlobStreamOptions extends CallOptions {
  /** Position of the first byte. Default: 0. */
  readonly start?: bigint | undefined
  /** Position after the last byte, at most the blob's size. Default: the blob's size. */
  readonly end?: bigint | undefined
}

const PIECE_SIZE = 256 * 1024

/**
 * Reads a blob, or a range of it, in order. The pieces are for reading, and none is empty. The reader stays open.
 *
 * @throws CastoreError `invalid-input`, at once, when the range is not within the blob
 * @throws DataLossError, on iterating, when content is damaged or missing; what came before is good
 */
export function blobStream(reader: BlobReader, options: BlobStreamOptions = {}): AsyncIterable<Uint8Array> {
  const { start = 0n, end = reader.size, signal } = options
  if (start < 0n || end > reader.size || start > end) {
    throw new CastoreError(
      'invalid-input',
      `invalid range: expected one within 0 to ${reader.size}, got ${start} to ${end}`,
    )
  }
  return reader.stream?.({ start, end }, { signal }) ?? readInOrder(reader, start, end, { signal })
}

async function* readInOrder(reader: BlobReader, start: bigint, end: bigint, options: CallOptions) {
  let position = start
  options.signal?.throwIfAborted()
  while (position < end) {
    const left = end - position
    const piece = await reader.readAt(position, left < PIECE_SIZE ? Number(left) : PIECE_SIZE, options)
    if (piece.length === 0) {
      throw new CastoreError('storage', `blob ended early: expected ${end} bytes, got ${position}`)
    }
    position += BigInt(piece.length)
    yield piece
  }
}
