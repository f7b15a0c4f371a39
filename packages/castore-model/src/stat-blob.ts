import { B3Digest } from './b3-digest.js'
import { CastoreModelError } from './errors.js'
import { checkU64, MAX_U64 } from './u64.js'
import { WireReader } from './wire-reader.js'
import { varintLength, varintLength64, writeVarint, writeVarint64 } from './wire-writer.js'

/** One chunk of a blob: where a blob's chunks are listed, they are in the order of the blob and cover it. */
export interface ChunkMeta {
  readonly digest: B3Digest
  /** Bytes. */
  readonly size: bigint
}

/** The `StatBlobResponse` message as it came over the wire: nothing is checked (spec 01 section 7.2). */
export interface StatBlobResponseMessage {
  readonly chunks: readonly { readonly digest: Uint8Array; readonly size: bigint }[]
  readonly bao: Uint8Array
}

export interface StatBlobExpectation {
  /** The blob's size in bytes, where it is known. Default: not compared. */
  readonly blobSize?: bigint
}

const CODES = {
  InvalidDigestLen: 'STAT_BLOB_INVALID_DIGEST_LENGTH',
  EmptyChunk: 'STAT_BLOB_EMPTY_CHUNK',
  SizeOverflow: 'STAT_BLOB_SIZE_OVERFLOW',
  SizeMismatch: 'STAT_BLOB_SIZE_MISMATCH',
} as const

export type ValidateStatBlobResponseErrorKind = keyof typeof CODES

/** A `StatBlobResponse` that is refused (spec 01 section 9.1, weakness 16); `index` is the chunk's, from 0. */
export class ValidateStatBlobResponseError extends CastoreModelError {
  readonly code: (typeof CODES)[ValidateStatBlobResponseErrorKind]

  constructor(
    readonly kind: ValidateStatBlobResponseErrorKind,
    message: string,
    readonly actual: number | bigint,
    readonly expected: number | bigint,
    readonly index?: number,
  ) {
    super(message)
    this.code = CODES[kind]
  }
}

/**
 * Checks what a peer or a store says about a blob's chunks: digests of 32 bytes, no empty chunk, a sum below 2^64 that is the size of the
 * blob where that is known (unless no chunks are listed, which says nothing). The first violation in list order throws
 * `ValidateStatBlobResponseError`. Digests are copied.
 */
export function validateStatBlobResponse(
  message: Pick<StatBlobResponseMessage, 'chunks'>,
  { blobSize }: StatBlobExpectation = {},
): ChunkMeta[] {
  let total = 0n
  const chunks = message.chunks.map(({ digest, size }, index) => {
    const length = digest.length
    if (length !== B3Digest.LENGTH) {
      const text = `invalid digest length ${length} for chunk #${index}`
      throw new ValidateStatBlobResponseError('InvalidDigestLen', text, length, B3Digest.LENGTH, index)
    }
    if (size === 0n) {
      const text = `chunk #${index} has size 0, expected at least 1`
      throw new ValidateStatBlobResponseError('EmptyChunk', text, 0n, 1n, index)
    }
    total += size
    if (total > MAX_U64) {
      const text = `sizes of chunks up to #${index} sum up to ${total}, expected at most ${MAX_U64}`
      throw new ValidateStatBlobResponseError('SizeOverflow', text, total, MAX_U64, index)
    }
    return { digest: B3Digest.from(digest), size }
  })
  if (chunks.length > 0 && blobSize !== undefined && total !== blobSize) {
    const text = `chunks sum up to ${total} bytes, expected the blob's ${blobSize}`
    throw new ValidateStatBlobResponseError('SizeMismatch', text, total, blobSize)
  }
  return chunks
}

/**
 * Reads a `StatBlobResponse` message as leniently as any protobuf library, without checking what it says. The parts are views into
 * `bytes`. Throws `MalformedMessageError`.
 */
export function parseStatBlobResponse(bytes: Uint8Array): StatBlobResponseMessage {
  const chunks: { digest: Uint8Array; size: bigint }[] = []
  let bao: Uint8Array = new Uint8Array(0)
  const reader = new WireReader(bytes, 'StatBlobResponse')
  while (!reader.done) {
    const { field, type } = reader.tag()
    if (field === 2 || field === 3) reader.expect(field, type, 2)
    if (field === 2) chunks.push(readChunk(reader.message('ChunkMeta')))
    else if (field === 3) bao = reader.slice()
    else reader.skip(field, type)
  }
  return { chunks, bao }
}

function readChunk(reader: WireReader): { digest: Uint8Array; size: bigint } {
  let digest: Uint8Array = new Uint8Array(0)
  let size = 0n
  while (!reader.done) {
    const { field, type } = reader.tag()
    if (field === 1) {
      reader.expect(field, type, 2)
      digest = reader.slice()
    } else if (field === 2) {
      reader.expect(field, type, 0)
      size = reader.u64()
    } else reader.skip(field, type)
  }
  return { digest, size }
}

/** {@link parseStatBlobResponse}, then {@link validateStatBlobResponse}. */
export function decodeStatBlobResponse(
  bytes: Uint8Array,
  expectation: StatBlobExpectation = {},
): ChunkMeta[] {
  return validateStatBlobResponse(parseStatBlobResponse(bytes), expectation)
}

/**
 * The canonical `StatBlobResponse` message of these chunks: what is stored as a blob's metadata too (spec 02 sections 5 and 11.2). No
 * chunks give zero bytes. Throws `InvalidSizeError`.
 */
export function encodeStatBlobResponse(chunks: readonly ChunkMeta[]): Uint8Array {
  const lengths = chunks.map(({ size }) => {
    checkU64(size)
    return 34 + (size === 0n ? 0 : 1 + varintLength64(size))
  })
  const out = new Uint8Array(lengths.reduce((sum, length) => sum + 1 + varintLength(length) + length, 0))
  let at = 0
  for (const [index, { digest, size }] of chunks.entries()) {
    out[at] = 0x12
    at = writeVarint(out, at + 1, lengths[index]!)
    out[at] = 0x0a
    out[at + 1] = 32
    out.set(digest.bytes, at + 2)
    at += 34
    if (size !== 0n) {
      out[at] = 0x10
      at = writeVarint64(out, at + 1, size)
    }
  }
  return out
}
