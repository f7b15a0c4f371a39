import { B3Digest } from '@neve/castore-model'
import type { ChunkMeta } from '../blob-service.js'
import { abortable } from '../concurrency/abortable.js'
import { sharedController } from '../concurrency/shared-controller.js'
import type { Slot, SlotAllowance } from '../concurrency/slot-threads.js'
import type { ChunkObjects } from './chunk-objects.js'
import { framesBound } from './frame-tasks.js'
import type { FrameThreads } from './frame-threads.js'

/** What uploads work with: shared by all writers of a service. */
export interface ChunkUploadsInit {
  readonly objects: ChunkObjects
  readonly threads: FrameThreads
  readonly slots: SlotAllowance
}

/** The chunks of one blob on their way into the store: hashed and framed by threads, several put at once. */
export class ChunkUploads {
  readonly #init: ChunkUploadsInit
  readonly #tasks = new Set<Promise<void>>()
  readonly #lists: ChunkMeta[][] = []
  readonly #stored = new Set<string>()
  readonly #controller = sharedController()
  #failure: { readonly error: unknown } | undefined

  constructor(init: ChunkUploadsInit) {
    this.#init = init
  }

  /** Takes chunks, in order. Settles when they are copied, which may take until earlier ones are stored. */
  async add(chunks: readonly Uint8Array[], signal: AbortSignal): Promise<void> {
    const { threads } = this.#init
    let start = 0
    while (start < chunks.length) {
      let end = start
      let bytes = 0
      const fits = (): boolean =>
        end < chunks.length &&
        end - start < threads.maxChunks &&
        (end === start || bytes + chunks[end]!.length <= threads.room)
      while (fits()) bytes += chunks[end++]!.length
      await this.#start(chunks.slice(start, end), bytes, signal)
      start = end
    }
  }

  /** Waits until all chunks are stored. @returns them, in order */
  async finish(signal: AbortSignal): Promise<readonly ChunkMeta[]> {
    await abortable(Promise.all(this.#tasks), signal)
    this.#check()
    return this.#lists.flat()
  }

  /** Stops what is under way, and waits until it has stopped. */
  async abort(reason: unknown): Promise<void> {
    this.#controller.abort(reason)
    await Promise.all(this.#tasks)
  }

  async #start(chunks: readonly Uint8Array[], bytes: number, signal: AbortSignal): Promise<void> {
    this.#check()
    const slot = await this.#init.slots.take({ signal })
    if (slot.packed.length < framesBound(bytes, chunks.length)) throw new Error('a slot is too small')
    let at = 0
    for (const chunk of chunks) {
      slot.raw.set(chunk, at)
      at += chunk.length
    }
    const list: ChunkMeta[] = []
    this.#lists.push(list)
    const task = this.#upload(
      slot,
      chunks.map((chunk) => chunk.length),
      list,
    )
      .catch((error: unknown) => {
        this.#failure ??= { error }
        this.#controller.abort(error)
      })
      .finally(() => {
        this.#init.slots.give(slot)
        this.#tasks.delete(task)
      })
    this.#tasks.add(task)
  }

  async #upload(slot: Slot, lengths: readonly number[], list: ChunkMeta[]): Promise<void> {
    const { objects, threads } = this.#init
    const { signal } = this.#controller
    const { digests, frames } = await threads.run({ slot, lengths })
    let at = 0
    const puts: Promise<boolean>[] = []
    for (const [index, size] of lengths.entries()) {
      const digest = B3Digest.from(digests.subarray(index * 32, index * 32 + 32))
      const frame = slot.packed.subarray(at, at + frames[index]!)
      at += frame.length
      list.push({ digest, size: BigInt(size) })
      if (this.#stored.has(digest.key)) continue
      this.#stored.add(digest.key)
      puts.push(objects.ensure({ digest, size, frame }, { signal }))
    }
    // All of them: the slot must not be given back while one still reads from it.
    const outcomes = await Promise.allSettled(puts)
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure.error
  }
}
