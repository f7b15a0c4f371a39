import { B3Digest, blake3, equalBytes } from '@neve/castore-model'
import { Chunker, chunkSizes } from '@neve/fastcdc'
import { BlobWriterBase } from '../blob/writer-base.js'
import type { BlobListStore } from '../blob-list-store.js'
import type { ChunkMeta } from '../blob-service.js'
import type { CallOptions } from '../call-options.js'
import type { ChunkStore } from '../chunk-store.js'
import { ByteSemaphore } from '../concurrency/semaphore.js'
import { sharedController } from '../concurrency/shared-controller.js'

/** What a {@link SplitBlobWriter} writes to, and how. */
export interface SplitBlobWriterInit {
  readonly chunks: ChunkStore
  readonly lists: BlobListStore
  readonly averageChunkSize?: number | undefined
  readonly writeConcurrency?: number | undefined
  readonly skipPresent?: boolean | undefined
}

interface Piece {
  /** Known when it is stored. */
  digest?: B3Digest
  readonly size: bigint
}

/** Cuts a blob by content, stores several chunks at once, and their list when all are stored. */
export class SplitBlobWriter extends BlobWriterBase {
  readonly #init: SplitBlobWriterInit
  readonly #chunker: Chunker
  readonly #hasher = blake3.hasher()
  readonly #slots: ByteSemaphore
  readonly #pieces: Piece[] = []
  readonly #running = new Set<Promise<void>>()
  readonly #stop = sharedController()
  #last: { readonly content: Uint8Array; readonly piece: Piece } | undefined
  #failure: { readonly error: unknown } | undefined

  constructor(init: SplitBlobWriterInit, options?: CallOptions) {
    super(options)
    this.#init = init
    this.#chunker = new Chunker(chunkSizes(init.averageChunkSize))
    this.#slots = new ByteSemaphore(init.writeConcurrency ?? 32)
  }

  protected async accept(bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    this.#hasher.update(bytes)
    for (const chunk of this.#chunker.push(bytes)) await this.#start(chunk, signal)
  }

  protected async drain(): Promise<void> {
    await this.#settled()
  }

  protected async commit(signal: AbortSignal): Promise<B3Digest> {
    for (const chunk of this.#chunker.finish()) await this.#start(chunk, signal)
    // Who cancels closing wants the chunks that are on their way stopped, too.
    const onAbort = () => this.#stop.abort(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      await this.#settled()
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
    signal.throwIfAborted()
    const digest = B3Digest.adopt(this.#hasher.digest())
    const list: ChunkMeta[] = this.#pieces.map((piece) => ({ digest: piece.digest!, size: piece.size }))
    if (list.length > 0) await this.#init.lists.put(digest, list, { signal })
    return digest
  }

  protected async discard(reason: unknown): Promise<void> {
    this.#last = undefined
    this.#stop.abort(reason)
    await Promise.all(this.#running)
  }

  /** Begins to store a chunk, when fewer than the most are being stored. */
  async #start(chunk: Uint8Array, signal: AbortSignal): Promise<void> {
    // The holes of a sparse file are the same chunk over and over.
    if (this.#last !== undefined && equalBytes(this.#last.content, chunk)) {
      this.#pieces.push(this.#last.piece)
      return
    }
    const slot = await this.#slots.acquire(1, { signal })
    if (this.#failure !== undefined) {
      slot.release()
      throw this.#failure.error
    }
    // The chunk may be a view of the caller's bytes, which are the caller's again before it is stored.
    const content = new Uint8Array(chunk)
    const piece: Piece = { size: BigInt(content.length) }
    this.#pieces.push(piece)
    this.#last = { content, piece }
    const task: Promise<void> = this.#store(content, piece)
      .catch((error: unknown) => {
        this.#failure ??= { error }
      })
      .finally(() => {
        slot.release()
        this.#running.delete(task)
      })
    this.#running.add(task)
  }

  async #store(content: Uint8Array, piece: Piece): Promise<void> {
    const { chunks, skipPresent = false } = this.#init
    const options = { signal: this.#stop.signal }
    if (skipPresent) {
      const digest = B3Digest.of(content)
      if (await chunks.has(digest, options)) {
        piece.digest = digest
        return
      }
    }
    piece.digest = await chunks.put(content, options)
  }

  async #settled(): Promise<void> {
    await Promise.all(this.#running)
    if (this.#failure !== undefined) throw this.#failure.error
  }
}
