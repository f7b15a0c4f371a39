import { blake3 } from '@neve/castore-model'
import type { Slot, TaskRunner } from '../concurrency/slot-threads.js'
import { frameBound, frameChunk } from './chunk-frames.js'

/** Chunks, side by side from the start of a slot's raw part, to hash and frame into its packed part. */
export interface FrameTask {
  readonly slot: Slot
  readonly lengths: readonly number[]
}

/** The digests, 32 bytes each, and the lengths of the frames, which lie side by side. */
export interface FrameResult {
  readonly digests: Uint8Array
  readonly frames: readonly number[]
}

/** How much of a slot's packed part chunks of these lengths may need, in bytes. */
export function framesBound(bytes: number, chunks: number): number {
  return bytes + (bytes >>> 8) + chunks * frameBound(0)
}

/** Hashes and frames chunks: in a thread, or where it was called. */
export class FrameTasks implements TaskRunner<FrameTask, FrameResult> {
  run({ slot, lengths }: FrameTask): FrameResult {
    const digests = new Uint8Array(lengths.length * 32)
    const frames: number[] = []
    let from = 0
    let to = 0
    for (const [index, length] of lengths.entries()) {
      const content = slot.raw.subarray(from, from + length)
      digests.set(blake3.digest(content), index * 32)
      const frame = frameChunk(slot.packed, to, content)
      frames.push(frame)
      from += length
      to += frame
    }
    return { digests, frames }
  }

  close(): void {}
}
