import { B3Digest, type FileNode } from '@neve/castore-model'
import type { ContentReader, StoredContent } from '@neve/embedded-store'
import { engineError, engineOf } from '../blob/embedded.js'
import { blobStream } from '../blob/stream.js'
import { type BlobService, type ChunkMeta, DEFAULT_GET_MAX_SIZE } from '../blob-service.js'
import type { CallOptions } from '../call-options.js'
import { DataLossError } from '../errors.js'

const NOTHING = new Uint8Array(0)

/** Content of files in the order in which it is asked for, one call at a time. */
export interface ContentSource {
  /** How many {@link whole} calls may run at once. */
  readonly concurrency: number

  /**
   * A small file's content, verified; undefined where it has to be taken by {@link pieces}. With a concurrency of 1 it
   * is valid until the next call.
   *
   * @throws CastoreError
   */
  whole(file: FileNode, options: CallOptions): Promise<Uint8Array | undefined>

  /**
   * The content in verified pieces, each valid until the next is asked for; undefined when it is not stored.
   *
   * @throws CastoreError, also on iterating
   */
  pieces(file: FileNode, options: CallOptions): Promise<AsyncIterable<Uint8Array> | undefined>
}

/**
 * The content of a file in order, in the fastest way that its service allows. Each piece is verified, and valid until
 * the next is asked for.
 *
 * @returns undefined when it is not stored
 * @throws CastoreError, also on iterating
 */
export async function fileContent(
  blobs: BlobService,
  file: FileNode,
  options: CallOptions = {},
): Promise<AsyncIterable<Uint8Array> | undefined> {
  const source = contentSource(blobs)
  const whole = await source.whole(file, options)
  if (whole === undefined) return source.pieces(file, options)
  return (async function* () {
    if (whole.length > 0) yield whole
  })()
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
    return this.#blobs.get(file.digest, { ...options, sizeHint: file.size })
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
  #scratch: Uint8Array = NOTHING

  constructor(blobs: BlobService, reader: ContentReader, backend: string) {
    this.#blobs = blobs
    this.#reader = reader
    this.#backend = backend
  }

  async whole(file: FileNode): Promise<Uint8Array | undefined> {
    return isEmpty(file) ? NOTHING : this.#read(file.digest)
  }

  async pieces(file: FileNode, options: CallOptions): Promise<AsyncIterable<Uint8Array> | undefined> {
    const chunks = await this.#blobs.chunks(file.digest, options)
    if (chunks === undefined) return undefined
    return this.#chunks(file, chunks.length === 0 ? [file] : chunks, options)
  }

  async *#chunks(
    file: FileNode,
    chunks: readonly ChunkMeta[],
    { signal }: CallOptions,
  ): AsyncGenerator<Uint8Array> {
    for (const { digest, size } of chunks) {
      signal?.throwIfAborted()
      const content = await this.#read(digest)
      if (content === undefined || BigInt(content.length) !== size) {
        const found = content === undefined ? 'missing' : `of ${content.length} bytes, expected ${size}`
        throw new DataLossError(
          file.digest,
          this.#backend,
          `chunk ${digest} of blob ${file.digest} is ${found}`,
        )
      }
      yield content
    }
  }

  /** Verified, and valid until the next is read. */
  async #read(digest: B3Digest): Promise<Uint8Array | undefined> {
    try {
      const stored = this.#reader.peek(digest.bytes) ?? (await this.#reader.read(digest.bytes))
      return stored === undefined ? undefined : this.#expand(digest, stored)
    } catch (error) {
      throw engineError(error, digest, this.#backend)
    }
  }

  #expand(digest: B3Digest, stored: StoredContent): Uint8Array {
    let content = stored.payload
    if (stored.compressed) {
      if (this.#scratch.length < stored.rawLength) this.#scratch = new Uint8Array(stored.rawLength)
      content = this.#scratch.subarray(0, stored.rawLength)
      if (!this.#reader.expand(stored, content)) {
        throw new DataLossError(
          digest,
          this.#backend,
          `the stored frame of ${digest} does not give its ${stored.rawLength} bytes`,
        )
      }
    }
    const actual = B3Digest.of(content)
    if (actual.equals(digest)) return content
    throw new DataLossError(digest, this.#backend, `content of ${digest} hashes to ${actual}`)
  }
}

async function openPieces(
  blobs: BlobService,
  file: FileNode,
  options: CallOptions,
): Promise<AsyncIterable<Uint8Array> | undefined> {
  const reader = await blobs.open(file.digest, { ...options, sizeHint: file.size })
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
