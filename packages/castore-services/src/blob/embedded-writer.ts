import { B3Digest, type Blake3Hasher, blake3 } from '@neve/castore-model'
import type { EmbeddedStore, WriteSession } from '@neve/embedded-store'
import { Chunker } from '@neve/fastcdc'
import type { CallOptions } from '../call-options.js'
import { encodeChunkList, type ListedChunk } from './embedded-chunk-list.js'
import { engineError, isSound } from './engine-error.js'
import { RecordUploads } from './record-uploads.js'
import { BlobWriterBase } from './writer-base.js'

/** From so many bytes on threads hash and frame the chunks: of less, they would hardly have started. */
const THREADED_FROM = 4 * 1024 * 1024

/** Writes one blob into an embedded store, cut at content-defined boundaries. */
export class EmbeddedBlobWriter extends BlobWriterBase {
  readonly #engine: EmbeddedStore
  readonly #backend: string
  readonly #chunker = new Chunker()
  readonly #hasher: Blake3Hasher = blake3.hasher()
  readonly #chunks: ListedChunk[] = []
  readonly #commits: boolean
  #session: WriteSession | undefined
  #taken = 0
  #uploads: RecordUploads | undefined
  #joined = false

  /** @param session committed by the caller. Default: one of its own, committed before `close` settles */
  constructor(engine: EmbeddedStore, backend: string, options?: CallOptions, session?: WriteSession) {
    super(options)
    this.#engine = engine
    this.#backend = backend
    this.#session = session
    this.#commits = session === undefined
  }

  protected async accept(bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    this.#hasher.update(bytes)
    this.#taken += bytes.length
    try {
      if (this.#uploads === undefined) {
        await this.#append(this.#chunker.push(bytes))
        if (!this.#joined && this.#taken >= THREADED_FROM) await this.#join(signal)
      } else await this.#uploads.add(bytes, signal)
    } catch (error) {
      throw engineError(error, undefined, this.#backend)
    }
  }

  protected drain(): void {}

  protected async commit(signal: AbortSignal): Promise<B3Digest> {
    const digest = B3Digest.adopt(this.#hasher.digest())
    try {
      await this.#append(this.#chunker.finish())
      if (this.#uploads !== undefined) this.#chunks.push(...(await this.#uploads.finish(signal)))
      this.#uploads = undefined
      if (this.#chunks.length > 1) {
        this.#session?.put('blobs', digest.bytes, encodeChunkList(this.#chunks))
      }
      if (this.#commits) await this.#session?.commit()
    } catch (error) {
      throw engineError(error, digest, this.#backend)
    }
    return digest
  }

  protected async discard(): Promise<void> {
    // Chunks that were appended stay: they are content under their own digests.
    this.#session = undefined
    await this.#uploads?.end()
  }

  /** From here on threads do the work, unless they have enough to do. */
  async #join(signal: AbortSignal): Promise<void> {
    this.#joined = true
    this.#session ??= this.#engine.write()
    this.#uploads = RecordUploads.begin(this.#engine, this.#session)
    if (this.#uploads !== undefined) await this.#uploads.add(this.#chunker.rest(), signal)
  }

  async #append(chunks: readonly Uint8Array[]): Promise<void> {
    for (const chunk of chunks) {
      this.#session ??= this.#engine.write()
      const session = this.#session
      const digest = blake3.digest(chunk)
      if (!session.joinPending(digest) && !isSound(this.#engine, digest)) session.appendContent(digest, chunk)
      this.#chunks.push({ digest, size: chunk.length })
      await session.room()
    }
  }
}
