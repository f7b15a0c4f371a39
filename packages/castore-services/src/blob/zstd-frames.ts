import type { CallOptions } from '../call-options.js'
import { mapOrdered } from '../concurrency/map-ordered.js'
import { type Slot, SlotAllowance } from '../concurrency/slot-threads.js'
import { FrameThreads } from './frame-threads.js'

/** How much of a stream becomes one frame, in bytes. */
const FRAME = 1024 * 1024
/** How many slots one stream has: what it holds at most. */
const SLOTS = 5

/** Options of {@link zstdFrames}. */
export interface ZstdFramesOptions extends CallOptions {
  /** Threads to share between streams. Default: threads of its own, if they pay. */
  readonly threads?: FrameThreads | undefined
}

/**
 * Compresses a stream as a row of zstd frames of up to 1 MiB of content each, in threads. It is what one does where
 * `BlobService.zstdStream` is not to be had.
 *
 * @param source its pieces are done with when it is asked for the next; closed however this ends
 * @returns pieces of the compressed stream; each belongs to the caller until it asks for the next
 */
export async function* zstdFrames(
  source: AsyncIterable<Uint8Array>,
  { signal, threads: shared }: ZstdFramesOptions = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  const threads = shared ?? new FrameThreads({ maxChunk: FRAME })
  const slots = new SlotAllowance(threads, SLOTS)
  const held = new Set<Slot>()
  const take = async (): Promise<Slot> => {
    const slot = await slots.take({ signal })
    held.add(slot)
    return slot
  }
  async function* filled(): AsyncGenerator<{ slot: Slot; length: number }, void, undefined> {
    let slot: Slot | undefined
    let length = 0
    for await (const piece of source) {
      for (let taken = 0; taken < piece.length; ) {
        slot ??= await take()
        const part = piece.subarray(taken, taken + FRAME - length)
        slot.raw.set(part, length)
        length += part.length
        taken += part.length
        if (length < FRAME) continue
        yield { slot, length }
        slot = undefined
        length = 0
      }
    }
    if (slot !== undefined) yield { slot, length }
  }
  const compress = async ({ slot, length }: { slot: Slot; length: number }) => {
    const task = { slot, lengths: [length] }
    // What is one frame is not worth a thread.
    const { frames } = length < FRAME ? threads.runHere(task) : await threads.run(task)
    return { slot, length: frames[0]! }
  }
  try {
    for await (const { slot, length } of mapOrdered(filled(), SLOTS - 1, compress, { signal })) {
      yield slot.packed.subarray(0, length)
      held.delete(slot)
      slots.give(slot)
    }
  } finally {
    // However the stream ended, no task runs any more.
    for (const slot of held) slots.give(slot)
    if (shared === undefined) await threads.close()
  }
}
