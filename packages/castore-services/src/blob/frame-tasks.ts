import { blake3 } from '@neve/castore-model'
import { packedBound, packRecord, RecordKind } from '@neve/embedded-store/record'
import type { Slot, TaskRunner } from '../concurrency/slot-threads.js'
import { frameChunk } from './chunk-frames.js'

/** Chunks, side by side from the start of a slot's raw part, to hash and frame into its packed part. */
export interface FrameTask {
  readonly slot: Slot
  readonly lengths: readonly number[]
}

/** The digests, 32 bytes each, and the lengths of the frames, or of the records around them, which lie side by side. */
export interface FrameResult {
  readonly digests: Uint8Array
  readonly frames: readonly number[]
}

/** How much of a slot's packed part chunks of these lengths may need, in bytes. */
export function framesBound(bytes: number, chunks: number): number {
  return bytes + (bytes >>> 8) + chunks * packedBound(0)
}

/** Hashes and frames chunks: in a thread, or where it was called. */
export class FrameTasks implements TaskRunner<FrameTask, FrameResult> {
  readonly #salt: number | undefined

  /** @param salt of the embedded store that records are framed for. Default: bare zstd frames */
  constructor(salt?: number) {
    this.#salt = salt
  }

  run({ slot, lengths }: FrameTask): FrameResult {
    const digests = new Uint8Array(lengths.length * 32)
    const frames: number[] = []
    let from = 0
    let to = 0
    for (const [index, length] of lengths.entries()) {
      const content = slot.raw.subarray(from, from + length)
      const digest = blake3.digest(content)
      digests.set(digest, index * 32)
      const framed =
        this.#salt === undefined
          ? frameChunk(slot.packed, to, content)
          : packRecord(slot.packed, to, RecordKind.content, digest, content, this.#salt)
      frames.push(framed)
      from += length
      to += framed
    }
    return { digests, frames }
  }

  close(): void {}
}
