import { B3Digest } from '@neve/castore-model'
import type { BlobListStore } from '../blob-list-store.js'
import type { BlobService, ChunkMeta } from '../blob-service.js'
import type { CallOptions } from '../call-options.js'
import { type ChunkStore, DEFAULT_MAX_CHUNK_SIZE, type GetChunkOptions } from '../chunk-store.js'
import { BlobTooLargeError, CastoreError, MissingChunkError } from '../errors.js'
import { normalizedBlobList } from './blob-list.js'
import { drained, expectChunks, type PutListCheck, verifiedContent } from './checked-blob-lists.js'

/**
 * The chunk half of any blob service (spec 10). Each blob that is not larger than a chunk may be is a chunk, whether it
 * was stored as one or not: the service may cut what it is given otherwise.
 *
 * Larger ones are absent where their list says more; `get` refuses those that are in one piece.
 */
export function chunkStoreOf(blobs: BlobService): ChunkStore {
  return new BlobChunkStore(blobs)
}

/**
 * The list half of any blob service (spec 10). A blob whose chunks the service does not tell has one entry, with its
 * size. A list that is put is stored by writing the blob anew, from the chunks that the service has: it may then be
 * listed with other chunks. That reads the chunks, and so checks that they make up the blob.
 */
export function blobListStoreOf(blobs: BlobService, check: PutListCheck = {}): BlobListStore {
  return new ServiceBlobListStore(blobs, check)
}

class BlobChunkStore implements ChunkStore {
  readonly #blobs: BlobService

  constructor(blobs: BlobService) {
    this.#blobs = blobs
  }

  has(digest: B3Digest, options?: CallOptions): Promise<boolean> {
    return this.#blobs.has(digest, options)
  }

  async get(digest: B3Digest, options: GetChunkOptions = {}): Promise<Uint8Array | undefined> {
    const { maxSize = DEFAULT_MAX_CHUNK_SIZE, sizeHint, signal } = options
    try {
      return await this.#blobs.get(digest, {
        maxSize,
        signal,
        ...(sizeHint === undefined ? {} : { sizeHint: BigInt(sizeHint) }),
      })
    } catch (error) {
      if (!(error instanceof BlobTooLargeError)) throw error
      const pieces = await this.#blobs.chunks(digest, { signal })
      if (pieces !== undefined && pieces.length > 1) return undefined
      throw error
    }
  }

  put(content: Uint8Array, options?: CallOptions): Promise<B3Digest> {
    return this.#blobs.put(content, options)
  }
}

class ServiceBlobListStore implements BlobListStore {
  readonly #blobs: BlobService
  readonly #chunks: ChunkStore
  readonly #verifyPut: boolean

  constructor(blobs: BlobService, { verifyPut = false }: PutListCheck) {
    this.#blobs = blobs
    this.#chunks = chunkStoreOf(blobs)
    this.#verifyPut = verifyPut
  }

  has(digest: B3Digest, options?: CallOptions): Promise<boolean> {
    return this.#blobs.has(digest, options)
  }

  async get(digest: B3Digest, options: CallOptions = {}): Promise<readonly ChunkMeta[] | undefined> {
    options.signal?.throwIfAborted()
    if (digest.equals(B3Digest.EMPTY)) return []
    const list = await this.#blobs.chunks(digest, options)
    if (list === undefined || list.length > 1) return list
    // The older answer has no entry for a blob in one piece: its size has to be found out (spec 10 section 2).
    const size = await this.#size(digest, options)
    return size === undefined ? undefined : [{ digest, size }]
  }

  async put(digest: B3Digest, chunks: readonly ChunkMeta[], options: CallOptions = {}): Promise<void> {
    options.signal?.throwIfAborted()
    const list = normalizedBlobList(digest, chunks)
    const [only] = list
    if (only === undefined) return
    if (list.length === 1) {
      await this.#expectWhole(only, options)
      return
    }
    await expectChunks(digest, list, this.#chunks, options)
    if (!this.#verifyPut && (await this.#isStored(digest, list, options))) return
    await using writer = this.#blobs.openWrite(options)
    for await (const piece of verifiedContent(digest, list, this.#chunks, options)) {
      await writer.write(piece)
    }
    await writer.close()
  }

  /** Of a blob in one piece the chunk is all there is to store. */
  async #expectWhole(chunk: ChunkMeta, options: CallOptions): Promise<void> {
    const { digest, size } = chunk
    const stored = await this.#size(digest, options)
    if (stored === undefined) throw new MissingChunkError(digest, digest)
    if (stored === size) {
      if (this.#verifyPut) await drained(verifiedContent(digest, [chunk], this.#chunks, options))
      return
    }
    throw new CastoreError(
      'invalid-request',
      `bad chunk list for blob ${digest}: chunk ${digest} has ${stored} bytes, expected ${size}`,
    )
  }

  /** Whether the very same list is there: its chunks were found already, so that nothing is to be healed. */
  async #isStored(blob: B3Digest, list: readonly ChunkMeta[], options: CallOptions): Promise<boolean> {
    const stored = await this.#blobs.chunks(blob, options)
    return (
      stored?.length === list.length &&
      stored.every(
        ({ digest, size }, index) => digest.equals(list[index]!.digest) && size === list[index]!.size,
      )
    )
  }

  async #size(digest: B3Digest, options: CallOptions): Promise<bigint | undefined> {
    await using reader = await this.#blobs.open(digest, options)
    return reader?.size
  }
}
