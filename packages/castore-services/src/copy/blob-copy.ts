import { B3Digest, type FileNode } from '@neve/castore-model'
import { EmbeddedSessionBlobs, engineOf } from '../blob/embedded.js'
import { blobStream } from '../blob/stream.js'
import { type BlobService, type ChunkMeta, DEFAULT_GET_MAX_SIZE } from '../blob-service.js'
import type { CallOptions } from '../call-options.js'
import { eachConcurrent } from '../concurrency/each-concurrent.js'
import { mapOrdered } from '../concurrency/map-ordered.js'
import { ByteSemaphore } from '../concurrency/semaphore.js'
import { CastoreError, DataLossError } from '../errors.js'
import type { WholeClosures } from './whole-closures.js'

/** Counts of {@link BlobCopy}, in bytes where they are sizes. */
export interface BlobCopyState {
  readonly blobs: number
  readonly bytes: number
  readonly doneBlobs: number
  readonly doneBytes: number
}

/** Settings of {@link BlobCopy}, as those of the copy that it is part of. */
export interface BlobCopyOptions {
  readonly concurrency: number
  readonly reuseChunks: boolean
  readonly heal: boolean
  readonly whole: WholeClosures | undefined
}

/** Large blobs that are copied at once: each has chunks under way on both sides. */
const LARGE_AT_ONCE = 4
/** Small blobs that are held at once, in bytes. */
const HELD_BYTES = 16 * 1024 * 1024
/** Chunks of one large blob that are fetched ahead. */
const CHUNKS_AHEAD = 4
/** The largest chunk that anybody cuts: 1 MiB here, some MiB in stores with another average. */
const MAX_CHUNK = 64 * 1024 * 1024
/** After so many bytes, or blobs, those that an embedded store took are made durable. */
const COMMIT_EVERY = 16 * 1024 * 1024
const COMMIT_EVERY_BLOBS = 2048
/** So many blobs are remembered; then the target is asked again. */
const MAX_REMEMBERED = 500_000

async function whenRoom(
  semaphore: ByteSemaphore,
  weight: number,
  options: CallOptions,
  copy: () => Promise<void>,
): Promise<void> {
  const permit = await semaphore.acquire(weight, options)
  try {
    await copy()
  } finally {
    permit.release()
  }
}

/** Copies blobs that a target lacks. */
export class BlobCopy {
  copiedBlobs = 0
  copiedBytes = 0
  readBytes = 0
  presentBlobs = 0
  readonly #from: BlobService
  readonly #to: BlobService
  readonly #options: BlobCopyOptions
  readonly #onProgress: (state: BlobCopyState) => void
  readonly #large = new ByteSemaphore(LARGE_AT_ONCE)
  readonly #held = new ByteSemaphore(HELD_BYTES)
  readonly #seen = new Set<string>()
  #session: EmbeddedSessionBlobs | undefined
  #uncommitted = 0
  #blobs = 0
  #bytes = 0
  #doneBytes = 0

  constructor(
    { from, to }: { readonly from: BlobService; readonly to: BlobService },
    options: BlobCopyOptions,
    onProgress: (state: BlobCopyState) => void,
  ) {
    this.#from = from
    this.#to = to
    this.#options = options
    this.#onProgress = onProgress
  }

  /** Copies what is missing of the blobs of these files. When it settles, nothing runs any more. */
  async run(files: AsyncGenerator<FileNode, void, undefined>, options: CallOptions): Promise<void> {
    await eachConcurrent(
      this.#different(files),
      this.#options.concurrency,
      (file, signal) => this.#blob(file, { signal }),
      options,
    )
    await this.#session?.commit()
  }

  async *#different(files: AsyncIterable<FileNode>): AsyncGenerator<FileNode, void, undefined> {
    for await (const file of files) {
      const { key } = file.digest
      if (this.#seen.has(key) || file.digest.equals(B3Digest.EMPTY)) continue
      if (this.#seen.size === MAX_REMEMBERED) this.#seen.clear()
      this.#seen.add(key)
      this.#blobs++
      this.#bytes += Number(file.size)
      yield file
    }
  }

  async #blob(file: FileNode, options: CallOptions): Promise<void> {
    if (await this.#isPresent(file, options)) {
      this.presentBlobs++
      this.#doneBytes += Number(file.size)
    } else {
      if (file.size <= DEFAULT_GET_MAX_SIZE) {
        await whenRoom(this.#held, Number(file.size), options, () => this.#small(file, options))
      } else await whenRoom(this.#large, 1, options, () => this.#largeBlob(file, options))
      this.copiedBlobs++
      this.copiedBytes += Number(file.size)
      await this.#commitSometimes(Number(file.size))
    }
    this.#tell()
  }

  /** Where blobs are put: an embedded store makes many durable at once. */
  get #sink(): Pick<BlobService, 'put' | 'openWrite'> {
    const engine = engineOf(this.#to)
    if (engine === undefined) return this.#to
    this.#session ??= new EmbeddedSessionBlobs(engine)
    return this.#session
  }

  /** What is durable need not be copied again after an interruption. */
  async #commitSometimes(size: number): Promise<void> {
    this.#uncommitted += Math.max(size, COMMIT_EVERY / COMMIT_EVERY_BLOBS)
    if (this.#uncommitted < COMMIT_EVERY) return
    this.#uncommitted = 0
    await this.#session?.commit()
  }

  async #isPresent(file: FileNode, options: CallOptions): Promise<boolean> {
    const { heal, whole } = this.#options
    if (heal) return false
    // A list whose chunks are not all there makes no blob.
    return whole === undefined ? this.#to.has(file.digest, options) : whole.has(file, options)
  }

  #tell(): void {
    this.#onProgress({
      blobs: this.#blobs,
      bytes: this.#bytes,
      doneBlobs: this.copiedBlobs + this.presentBlobs,
      doneBytes: this.#doneBytes,
    })
  }

  async #small(file: FileNode, options: CallOptions): Promise<void> {
    const { digest } = file
    const content = await this.#from.get(digest, { ...options, sizeHint: file.size })
    if (content === undefined) throw absent(file)
    expectSize(file, BigInt(content.length))
    this.readBytes += content.length
    expectDigest(digest, await this.#sink.put(content, options))
    this.#doneBytes += content.length
  }

  async #largeBlob(file: FileNode, options: CallOptions): Promise<void> {
    const chunks = this.#options.reuseChunks ? await this.#from.chunks(file.digest, options) : undefined
    await using writer = this.#sink.openWrite(options)
    let written = 0n
    const pieces =
      chunks === undefined || chunks.length === 0
        ? this.#whole(file, options)
        : this.#chunkwise(file, chunks, options)
    for await (const piece of pieces) {
      await writer.write(piece, options)
      written += BigInt(piece.length)
      this.#doneBytes += piece.length
      this.#tell()
    }
    expectSize(file, written)
    expectDigest(file.digest, await writer.close(options))
  }

  async *#whole(file: FileNode, options: CallOptions): AsyncGenerator<Uint8Array, void, undefined> {
    await using reader = await this.#from.open(file.digest, { ...options, sizeHint: file.size })
    if (reader === undefined) throw absent(file)
    expectSize(file, reader.size)
    for await (const piece of blobStream(reader, options)) {
      this.readBytes += piece.length
      yield piece
    }
  }

  async *#chunkwise(
    file: FileNode,
    chunks: readonly ChunkMeta[],
    options: CallOptions,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    expectSize(
      file,
      chunks.reduce((sum, { size }) => sum + size, 0n),
    )
    const fetch = (chunk: ChunkMeta, signal: AbortSignal): Promise<Uint8Array> =>
      this.#chunk(file, chunk, { signal })
    yield* mapOrdered(chunks, CHUNKS_AHEAD, fetch, options)
  }

  async #chunk(file: FileNode, { digest, size }: ChunkMeta, options: CallOptions): Promise<Uint8Array> {
    if (size > MAX_CHUNK) {
      throw new DataLossError(
        file.digest,
        'the source',
        `chunk ${digest} of ${file.digest} has ${size} bytes`,
      )
    }
    const sized = { ...options, maxSize: Number(size), sizeHint: size }
    const present = await this.#presentChunk(digest, size, options)
    if (present !== undefined) return present
    const content = await this.#from.get(digest, sized)
    if (content === undefined || BigInt(content.length) !== size) {
      const found = content === undefined ? 'missing' : `of ${content.length} bytes, expected ${size}`
      throw new DataLossError(file.digest, 'the source', `chunk ${digest} of blob ${file.digest} is ${found}`)
    }
    this.readBytes += content.length
    return content
  }

  /** A chunk that the target has; one that is damaged there, or of another length, is as good as none. */
  async #presentChunk(digest: B3Digest, size: bigint, options: CallOptions): Promise<Uint8Array | undefined> {
    try {
      const content = await this.#to.get(digest, { ...options, maxSize: Number(size) })
      return content === undefined || BigInt(content.length) !== size ? undefined : content
    } catch (error) {
      if (error instanceof CastoreError && (error.code === 'data-loss' || error.code === 'too-large')) {
        return undefined
      }
      throw error
    }
  }
}

function absent(file: FileNode): CastoreError {
  return new DataLossError(file.digest, 'the source', `blob ${file.digest} does not exist`)
}

function expectSize(file: FileNode, actual: bigint): void {
  if (actual === file.size) return
  throw new CastoreError('size', `blob ${file.digest} has ${actual} bytes, its node says ${file.size}`)
}

function expectDigest(expected: B3Digest, actual: B3Digest): void {
  if (actual.equals(expected)) return
  throw new DataLossError(expected, 'the source', `content of blob ${expected} hashes to ${actual}`)
}
