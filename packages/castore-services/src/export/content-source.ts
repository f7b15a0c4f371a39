import { B3Digest, type FileNode } from '@neve/castore-model'
import type { ContentReader } from '@neve/embedded-store'
import { engineOf, readVerified } from '../blob/embedded.js'
import { blobStream } from '../blob/stream.js'
import { type BlobService, DEFAULT_GET_MAX_SIZE } from '../blob-service.js'
import type { CallOptions } from '../call-options.js'

const NOTHING = new Uint8Array(0)

/** Content of files in the order in which it is asked for, one call at a time. */
export interface ContentSource {
  /** How many {@link whole} calls may run at once. */
  readonly concurrency: number

  /**
   * A small file's content, verified; undefined where it has to be taken by {@link pieces}.
   *
   * @throws CastoreError
   */
  whole(file: FileNode, options: CallOptions): Promise<Uint8Array | undefined>

  /**
   * The content in verified pieces; undefined when it is not stored.
   *
   * @throws CastoreError, also on iterating
   */
  pieces(file: FileNode, options: CallOptions): Promise<AsyncIterable<Uint8Array> | undefined>
}

/** The best source that a blob service allows. */
export function contentSource(blobs: BlobService): ContentSource {
  const engine = engineOf(blobs)
  if (engine === undefined) return new ServiceSource(blobs)
  return new EngineSource(blobs, engine.contentReader(), `embedded:${engine.path}`)
}

/** Through the contract: small files are fetched ahead, since a lookup may be a round trip. */
class ServiceSource implements ContentSource {
  readonly concurrency = 16
  readonly #blobs: BlobService

  constructor(blobs: BlobService) {
    this.#blobs = blobs
  }

  async whole(file: FileNode, options: CallOptions): Promise<Uint8Array | undefined> {
    if (isEmpty(file)) return NOTHING
    if (file.size > DEFAULT_GET_MAX_SIZE) return undefined
    return this.#blobs.get(file.digest, options)
  }

  pieces(file: FileNode, options: CallOptions): Promise<AsyncIterable<Uint8Array> | undefined> {
    return openPieces(this.#blobs, file, options)
  }
}

/** Straight from the segments: trees are stored in the order in which they are exported, so one reader reads ahead. */
class EngineSource implements ContentSource {
  readonly concurrency = 1
  readonly #blobs: BlobService
  readonly #reader: ContentReader
  readonly #backend: string

  constructor(blobs: BlobService, reader: ContentReader, backend: string) {
    this.#blobs = blobs
    this.#reader = reader
    this.#backend = backend
  }

  async whole(file: FileNode): Promise<Uint8Array | undefined> {
    return isEmpty(file) ? NOTHING : readVerified(this.#reader, file.digest, this.#backend)
  }

  pieces(file: FileNode, options: CallOptions): Promise<AsyncIterable<Uint8Array> | undefined> {
    return openPieces(this.#blobs, file, options)
  }
}

async function openPieces(
  blobs: BlobService,
  file: FileNode,
  options: CallOptions,
): Promise<AsyncIterable<Uint8Array> | undefined> {
  const reader = await blobs.open(file.digest, options)
  if (reader === undefined) return undefined
  return (async function* () {
    try {
      yield* blobStream(reader, options)
    } finally {
      await reader.close()
    }
  })()
}

function isEmpty(file: FileNode): boolean {
  return file.size === 0n && file.digest.equals(B3Digest.EMPTY)
}
