import { SlotThreads } from '../concurrency/slot-threads.js'
import { type FrameResult, type FrameTask, FrameTasks, framesBound } from './frame-tasks.js'

const ROOM = 1024 * 1024
/** The smallest average chunk makes so many of {@link ROOM}: no task has more. */
const MAX_CHUNKS = 4096

/** Threads that hash and frame chunks for writers. */
export class FrameThreads extends SlotThreads<FrameTask, FrameResult> {
  /** Room for the chunks of one task, in bytes. */
  readonly room: number
  readonly maxChunks = MAX_CHUNKS

  /** @param maxChunk length of the largest chunk, in bytes */
  constructor(maxChunk: number, count?: number) {
    const room = Math.max(ROOM, maxChunk)
    super({
      module: '@neve/castore-services/blob/frame-worker',
      workerData: undefined,
      rawRoom: room,
      packedRoom: framesBound(room, MAX_CHUNKS),
      shared: false,
      here: () => new FrameTasks(),
      count,
    })
    this.room = room
  }
}
