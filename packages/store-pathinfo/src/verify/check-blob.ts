import { B3Digest, blake3, type FileNode } from '@neve/castore-model'
import {
  type BlobService,
  blobStream,
  type CallOptions,
  CastoreError,
  type ChunkMeta,
  DEFAULT_GET_MAX_SIZE,
  mapOrdered,
} from '@neve/castore-services'
import type { DamageKind, Fault } from './damage.js'

/** Chunks of one blob that are read at once. */
const CHUNKS_AT_ONCE = 4
/** No chunker cuts larger ones: one is held in memory whole. */
const MAX_CHUNK = 64n * 1024n * 1024n

/**
 * What is wrong with the blob of a file: every byte is read and hashed, by the chunk where there are chunks.
 *
 * @throws errors of the service that say nothing of the blob: it cannot be reached, it is closed
 */
export async function checkBlob(
  blobs: BlobService,
  file: FileNode,
  options: CallOptions,
): Promise<readonly Fault[]> {
  if (file.size <= DEFAULT_GET_MAX_SIZE && (await isSoundWhole(blobs, file, options))) return []
  const { digest } = file
  let chunks: readonly ChunkMeta[] | undefined
  try {
    chunks = await blobs.chunks(digest, options)
  } catch (error) {
    return [faultOf(error, 'chunk-list-damaged', digest)]
  }
  if (chunks === undefined) {
    return [{ kind: 'blob-missing', digest, detail: `blob ${digest} does not exist` }]
  }
  return chunks.length === 0 ? checkWhole(blobs, file, options) : checkChunks(blobs, file, chunks, options)
}

async function isSoundWhole(
  blobs: BlobService,
  { digest, size }: FileNode,
  options: CallOptions,
): Promise<boolean> {
  try {
    const content = await blobs.get(digest, { ...options, sizeHint: size })
    return content !== undefined && BigInt(content.length) === size && B3Digest.of(content).equals(digest)
  } catch (error) {
    if (isAboutContent(error)) return false
    throw error
  }
}

async function checkWhole(blobs: BlobService, file: FileNode, options: CallOptions): Promise<Fault[]> {
  const { digest, size } = file
  const hasher = blake3.hasher()
  let length = 0n
  try {
    await using reader = await blobs.open(digest, { ...options, sizeHint: size })
    if (reader === undefined) {
      return [{ kind: 'blob-missing', digest, detail: `blob ${digest} does not exist` }]
    }
    for await (const piece of blobStream(reader, options)) {
      hasher.update(piece)
      length += BigInt(piece.length)
    }
  } catch (error) {
    return [faultOf(error, 'blob-damaged', digest)]
  }
  const actual = B3Digest.adopt(hasher.digest())
  if (actual.equals(digest)) return sizeFaults(file, length)
  return [{ kind: 'blob-damaged', digest, detail: `content of blob ${digest} hashes to ${actual}` }]
}

async function checkChunks(
  blobs: BlobService,
  file: FileNode,
  chunks: readonly ChunkMeta[],
  options: CallOptions,
): Promise<Fault[]> {
  const { digest } = file
  const faults: Fault[] = []
  const hasher = blake3.hasher()
  let length = 0n
  const read = (chunk: ChunkMeta, signal: AbortSignal): Promise<Uint8Array | Fault> =>
    readChunk(blobs, digest, chunk, { signal })
  for await (const content of mapOrdered(chunks, CHUNKS_AT_ONCE, read, options)) {
    if (content instanceof Uint8Array) {
      hasher.update(content)
      length += BigInt(content.length)
    } else if (!faults.some((fault) => fault.digest?.equals(content.digest ?? digest))) faults.push(content)
  }
  if (faults.length > 0) return faults
  const actual = B3Digest.adopt(hasher.digest())
  if (actual.equals(digest)) return sizeFaults(file, length)
  const detail = `the chunks of blob ${digest} make ${actual}`
  return [{ kind: 'chunk-list-damaged', digest, detail }]
}

async function readChunk(
  blobs: BlobService,
  blob: B3Digest,
  { digest, size }: ChunkMeta,
  options: CallOptions,
): Promise<Uint8Array | Fault> {
  if (size > MAX_CHUNK) {
    return {
      kind: 'chunk-list-damaged',
      digest: blob,
      detail: `chunk ${digest} is said to have ${size} bytes`,
    }
  }
  try {
    const content = await blobs.get(digest, { ...options, maxSize: Number(size), sizeHint: size })
    if (content === undefined) {
      return { kind: 'chunk-missing', digest, detail: `chunk ${digest} of blob ${blob} does not exist` }
    }
    if (BigInt(content.length) === size && B3Digest.of(content).equals(digest)) return content
    const found = `${content.length} bytes that hash to ${B3Digest.of(content)}`
    return { kind: 'chunk-damaged', digest, detail: `chunk ${digest} of ${size} bytes has ${found}` }
  } catch (error) {
    return faultOf(error, 'chunk-damaged', digest)
  }
}

function sizeFaults({ digest, size }: FileNode, actual: bigint): Fault[] {
  if (actual === size) return []
  return [{ kind: 'wrong-size', digest, detail: `blob ${digest} has ${actual} bytes, its node says ${size}` }]
}

/** What an error says of what was read. @throws the error, when it says nothing of it */
export function faultOf(error: unknown, kind: DamageKind, digest: B3Digest | undefined): Fault {
  if (!isAboutContent(error)) throw error
  return { kind, digest, detail: error.message }
}

/** Whether an error tells of the content that was asked for: damage, or bytes that the disk does not give back. */
function isAboutContent(error: unknown): error is CastoreError {
  if (!(error instanceof CastoreError)) return false
  return error.code === 'data-loss' || error.code === 'storage' || error.code === 'too-large'
}
