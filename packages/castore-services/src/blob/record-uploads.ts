import type { EmbeddedStore, WriteSession } from '@neve/embedded-store'
import { Cutter } from '@neve/fastcdc'
import { abortable } from '../concurrency/abortable.js'
import { type Slot, SlotAllowance } from '../concurrency/slot-threads.js'
import type { ListedChunk } from './embedded-chunk-list.js'
import { isSound } from './engine-error.js'
import type { FrameResult } from './frame-tasks.js'
import { RecordThreads } from './record-threads.js'

/** Beside those that threads work on: one is filled, one is written. */
const OTHER_SLOTS = 2

/**
 * One blob on its way into an embedded store: cut where it lies, its chunks hashed and framed by threads, and appended in
 * their order.
 */
export class RecordUploads {
  readonly #engine: EmbeddedStore
  readonly #session: WriteSession
  readonly #shared: RecordThreads
  readonly #slots: SlotAllowance
  readonly #chunks: ListedChunk[] = []
  readonly #writing = new Set<Promise<void>>()
  readonly #cutter = new Cutter()
  #slot: Slot | undefined
  #used = 0
  #tail: Promise<void> = Promise.resolve()
  #failure: { readonly error: unknown } | undefined

  private constructor(engine: EmbeddedStore, session: WriteSession, shared: RecordThreads) {
    this.#engine = engine
    this.#session = session
    this.#shared = shared
    this.#slots = new SlotAllowance(shared.threads, shared.threads.count + OTHER_SLOTS)
  }

  /** @returns undefined while too many others do the same */
  static begin(engine: EmbeddedStore, session: WriteSession): RecordUploads | undefined {
    const shared = RecordThreads.join(engine)
    return shared && new RecordUploads(engine, session, shared)
  }

  /** Takes the next bytes. Settles when they are copied, which may take until earlier ones are written. */
  async add(bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    const { room } = this.#shared.threads
    for (let at = 0; at < bytes.length; ) {
      this.#check()
      this.#slot ??= await this.#slots.take({ signal })
      const length = Math.min(room - this.#used, bytes.length - at)
      this.#slot.raw.set(bytes.subarray(at, at + length), this.#used)
      this.#used += length
      at += length
      if (this.#used === room) await this.#send(this.#slot, false, signal)
    }
  }

  /** Waits until all chunks are appended. @returns them, in order */
  async finish(signal: AbortSignal): Promise<readonly ListedChunk[]> {
    if (this.#slot !== undefined) await this.#send(this.#slot, true, signal)
    await abortable(this.#tail, signal)
    this.#check()
    await this.end()
    return this.#chunks
  }

  /** Waits until nothing is under way any more; what was not sent is dropped. Has to be called once, or `finish`. */
  async end(): Promise<void> {
    if (this.#slot !== undefined) this.#slots.give(this.#slot)
    this.#slot = undefined
    await this.#tail
    await Promise.all(this.#writing)
    this.#shared.leave()
  }

  /** Hands the chunks of a slot to a thread; bytes after the last sure end of one begin the next slot. */
  async #send(slot: Slot, final: boolean, signal: AbortSignal): Promise<void> {
    const lengths: number[] = []
    let end = 0
    for (;;) {
      const length = this.#cutter.cut(slot.raw, end, this.#used, final)
      if (length === 0) break
      lengths.push(length)
      end += length
    }
    const left = this.#used - end
    const next = left > 0 ? await this.#slots.take({ signal }) : undefined
    next?.raw.set(slot.raw.subarray(end, this.#used))
    this.#slot = next
    this.#used = left
    const framing = this.#shared.threads.run({ slot, lengths })
    // Until it is waited for.
    framing.catch(() => {})
    this.#tail = this.#tail.then(async () => {
      try {
        this.#append(slot, lengths, await framing)
        await this.#session.room()
      } catch (error) {
        this.#failure ??= { error }
        this.#slots.give(slot)
      }
    })
  }

  #append(slot: Slot, lengths: readonly number[], { digests, frames }: FrameResult): void {
    this.#check()
    const offsets: number[] = []
    let at = 0
    for (const [index, size] of lengths.entries()) {
      const digest = digests.subarray(index * 32, index * 32 + 32)
      this.#chunks.push({ digest, size })
      if (!isSound(this.#engine, digest)) offsets.push(at)
      at += frames[index]!
    }
    const { written } = this.#session.appendPacked(slot.packed, offsets)
    const release = written
      .catch((error: unknown) => {
        this.#failure ??= { error }
      })
      .then(() => {
        this.#writing.delete(release)
        this.#slots.give(slot)
      })
    this.#writing.add(release)
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure.error
  }
}
