import { B3Digest, blake3, equalBytes } from '@neve/castore-model'
import { type ContentReader, EmbeddedStore, type WriteSession } from '@neve/embedded-store'
import { framePays } from '@neve/embedded-store/record'
import { type ChunkSizes, chunkSizes } from '@neve/fastcdc'
import type { BlobReader, BlobService, BlobWriter, ChunkMeta, GetBlobOptions } from '../blob-service.js'
import { DEFAULT_GET_MAX_SIZE } from '../blob-service.js'
import type { CallOptions } from '../call-options.js'
import { BlobTooLargeError, DataLossError } from '../errors.js'
import { rescue } from '../gc/rescue.js'
import { expandChunk } from './chunk-frames.js'
import { ChunkedBlobReader } from './chunked-reader.js'
import { decodeChunkList, encodeChunkList, ListedChunks } from './embedded-chunk-list.js'
import { EmbeddedBlobWriter } from './embedded-writer.js'
import { engineError, isSound } from './engine-error.js'
import type { FramedBlob, FramedBlobs } from './framed-blobs.js'
import { MemoryBlobReader } from './memory-reader.js'

export {
  chunkListSize,
  decodeChunkList,
  encodeChunkList,
  type ListedChunk,
  ListedChunks,
} from './embedded-chunk-list.js'
export { engineError } from './engine-error.js'

const NOTHING = new Uint8Array(0)

/** The engine behind a blob service, if it is an embedded one: whoever frames records itself writes to it directly. */
export function engineOf(blobs: object): EmbeddedStore | undefined {
  return 'engine' in blobs && blobs.engine instanceof EmbeddedStore ? blobs.engine : undefined
}

/**
 * Reads one piece of content and checks it against its digest.
 *
 * @returns undefined when it is not stored
 * @throws DataLossError
 */
async function readVerified(
  engine: EmbeddedStore,
  digest: B3Digest,
  backend: string,
): Promise<Uint8Array | undefined> {
  try {
    // The digest says more than the checksum.
    const quick = await readOnce(engine.contentReader({ checksums: false }), digest)
    if (quick === undefined || quick.wrong === undefined) return quick?.content
    // But only who verifies checksums finds what was written again elsewhere.
    const second = await readOnce(engine.contentReader(), digest)
    if (second?.wrong !== undefined) throw new DataLossError(digest, backend, second.wrong)
    return second?.content
  } catch (error) {
    throw engineError(error, digest, backend)
  }
}

interface ReadContent {
  readonly content: Uint8Array
  /** What is wrong with it, if anything. */
  readonly wrong: string | undefined
}

/** @param reader is not used again: what it gives may be a view of its memory */
async function readOnce(reader: ContentReader, digest: B3Digest): Promise<ReadContent | undefined> {
  const stored = await reader.read(digest.bytes)
  if (stored === undefined) return undefined
  const { rawLength, compressed, payload } = stored
  let content = new Uint8Array(payload.buffer, payload.byteOffset, payload.length)
  if (compressed) {
    content = new Uint8Array(Buffer.allocUnsafeSlow(rawLength).buffer)
    if (!reader.expand(stored, content)) {
      return { content, wrong: `the stored frame of ${digest} does not give its ${rawLength} bytes` }
    }
  }
  const actual = blake3.digest(content)
  const wrong = equalBytes(actual, digest.bytes)
    ? undefined
    : `content of ${digest} hashes to ${B3Digest.from(actual)}`
  return { content, wrong }
}

/**
 * Blobs in an embedded store: content in segments, cut at content-defined boundaries of 256 KiB on average, every read
 * verified. Writes return once they are on disk; many at once share one sync.
 */
export class EmbeddedBlobService implements BlobService, FramedBlobs {
  /** The engine, which the service does not close. */
  readonly engine: EmbeddedStore
  readonly #backend: string

  constructor(engine: EmbeddedStore) {
    this.engine = engine
    this.#backend = `embedded:${engine.path}`
  }

  async has(digest: B3Digest, { signal }: CallOptions = {}): Promise<boolean> {
    signal?.throwIfAborted()
    if (digest.equals(B3Digest.EMPTY)) return true
    return this.#guard(
      digest,
      () => this.engine.keeps('content', digest.bytes) || this.engine.keeps('blobs', digest.bytes),
    )
  }

  async open(digest: B3Digest, options: CallOptions = {}): Promise<BlobReader | undefined> {
    options.signal?.throwIfAborted()
    if (digest.equals(B3Digest.EMPTY)) return new MemoryBlobReader(NOTHING)
    const whole = await readVerified(this.engine, digest, this.#backend)
    if (whole !== undefined) return new MemoryBlobReader(whole)
    const list = this.#guard(digest, () => this.engine.get('blobs', digest.bytes))
    if (list === undefined) return undefined
    return new ChunkedBlobReader({
      digest,
      chunks: new ListedChunks(digest, list, this.#backend),
      backend: this.#backend,
      fetch: (chunk) => readVerified(this.engine, chunk.digest, this.#backend),
      verifyChunks: false,
      verifyWhole: false,
    })
  }

  openWrite(options?: CallOptions): BlobWriter {
    return new EmbeddedBlobWriter(this.engine, this.#backend, options)
  }

  async chunks(digest: B3Digest, { signal }: CallOptions = {}): Promise<readonly ChunkMeta[] | undefined> {
    signal?.throwIfAborted()
    if (digest.equals(B3Digest.EMPTY)) return []
    // Who asks may go by the answer, and store what leans on it.
    if (!this.engine.readOnly && this.#isCondemned(digest)) {
      const kept = await rescue(this.engine, { kind: 'file', digest }, { signal })
      if (!kept) return undefined
    }
    const list = this.#guard(digest, () => this.engine.get('blobs', digest.bytes))
    if (list !== undefined) return decodeChunkList(digest, list, this.#backend)
    return this.#guard(digest, () => this.engine.hasContent(digest.bytes)) ? [] : undefined
  }

  async get(digest: B3Digest, options: GetBlobOptions = {}): Promise<Uint8Array | undefined> {
    const { maxSize = DEFAULT_GET_MAX_SIZE } = options
    await using reader = await this.open(digest, options)
    if (reader === undefined) return undefined
    if (reader.size > BigInt(maxSize)) throw new BlobTooLargeError(digest, reader.size, maxSize)
    return await reader.readAt(0n, Number(reader.size), options)
  }

  async put(content: Uint8Array, options: CallOptions = {}): Promise<B3Digest> {
    const session = new EmbeddedSessionBlobs(this.engine)
    const digest = await session.put(content, options)
    await session.commit()
    return digest
  }

  get chunkSizes(): ChunkSizes {
    return chunkSizes()
  }

  async takesFrames(): Promise<boolean> {
    return true
  }

  async putFramed(blobs: readonly FramedBlob[], { signal }: CallOptions = {}): Promise<void> {
    signal?.throwIfAborted()
    const session = new EmbeddedSessionBlobs(this.engine)
    for (const blob of blobs) session.putFramed(blob)
    await session.commit()
  }

  #isCondemned(digest: B3Digest): boolean {
    const { bytes } = digest
    return this.#guard(
      digest,
      () => this.engine.isCondemned('content', bytes) || this.engine.isCondemned('blobs', bytes),
    )
  }

  #guard<T>(digest: B3Digest, call: () => T): T {
    try {
      return call()
    } catch (error) {
      throw engineError(error, digest, this.#backend)
    }
  }
}

/**
 * Takes blobs for an embedded store that are durable together, once they are committed: one sync for all. For whoever
 * stores many and needs none before the others.
 */
export class EmbeddedSessionBlobs implements Pick<BlobService, 'has' | 'put' | 'openWrite'> {
  /** What everything is written to. */
  readonly session: WriteSession
  readonly #engine: EmbeddedStore
  readonly #backend: string

  /**
   * @param session of the engine. Default: one of its own
   * @throws CastoreError `closed` when the engine is
   */
  constructor(engine: EmbeddedStore, session?: WriteSession) {
    this.#engine = engine
    this.#backend = `embedded:${engine.path}`
    try {
      this.session = session ?? engine.write()
    } catch (error) {
      throw engineError(error, undefined, this.#backend)
    }
  }

  /** Settles when everything that was put, and every writer that was closed, is on disk. */
  async commit(): Promise<void> {
    try {
      await this.session.commit()
    } catch (error) {
      throw engineError(error, undefined, this.#backend)
    }
  }

  /** Whether it is stored durably already. */
  has(digest: B3Digest, options?: CallOptions): Promise<boolean> {
    return new EmbeddedBlobService(this.#engine).has(digest, options)
  }

  async put(content: Uint8Array, options: CallOptions = {}): Promise<B3Digest> {
    options.signal?.throwIfAborted()
    if (content.length > chunkSizes().min) {
      await using writer = this.openWrite(options)
      await writer.write(content)
      return await writer.close()
    }
    const digest = B3Digest.of(content)
    if (content.length === 0) return digest
    try {
      if (!this.session.joinPending(digest.bytes) && !isSound(this.#engine, digest.bytes)) {
        this.session.appendContent(digest.bytes, content)
      }
      await this.session.room()
    } catch (error) {
      throw engineError(error, digest, this.#backend)
    }
    return digest
  }

  /** Takes a blob as frames, which nobody checks. */
  putFramed({ digest, chunks }: FramedBlob): void {
    try {
      for (const { digest: key, size, frame } of chunks) {
        if (this.session.joinPending(key.bytes) || isSound(this.#engine, key.bytes)) continue
        const payload = framePays(size, frame.length) ? frame : expandChunk(frame, size)
        this.session.appendPayload(key.bytes, size, payload)
      }
      if (chunks.length < 2) return
      const list = chunks.map((chunk) => ({ digest: chunk.digest.bytes, size: chunk.size }))
      this.session.put('blobs', digest.bytes, encodeChunkList(list))
    } catch (error) {
      throw engineError(error, digest, this.#backend)
    }
  }

  openWrite(options?: CallOptions): BlobWriter {
    return new EmbeddedBlobWriter(this.#engine, this.#backend, options, this.session)
  }
}
