import { SlotThreads } from '../concurrency/slot-threads.js'
import { type FrameResult, type FrameTask, FrameTasks, framesBound } from './frame-tasks.js'

const ROOM = 1024 * 1024
/** The smallest average chunk makes so many of {@link ROOM}: no task has more. */
const MAX_CHUNKS = 4096

/** What {@link FrameThreads} frame, and how many there are. */
export interface FrameThreadsInit {
  /** Length of the largest chunk, in bytes. */
  readonly maxChunk: number
  /** Room for the chunks of one task, in bytes. Default: 1 MiB, or the largest chunk. */
  readonly room?: number | undefined
  /** Length of the smallest chunk but for the last of a blob, in bytes. Default: what makes 4096 chunks of one task. */
  readonly minChunk?: number | undefined
  /** The salt of the embedded store that records are framed for. Default: bare zstd frames. */
  readonly salt?: number | undefined
  /** Default: as for {@link SlotThreads}. */
  readonly count?: number | undefined
}

/** Threads that hash and frame chunks for writers. */
export class FrameThreads extends SlotThreads<FrameTask, FrameResult> {
  /** Room for the chunks of one task, in bytes. */
  readonly room: number
  readonly maxChunks: number

  constructor({ maxChunk, minChunk, salt, count, room = Math.max(ROOM, maxChunk) }: FrameThreadsInit) {
    const maxChunks = minChunk === undefined ? MAX_CHUNKS : Math.ceil(room / minChunk) + 1
    super({
      module: '@neve/castore-services/blob/frame-worker',
      workerData: { salt },
      rawRoom: room,
      packedRoom: framesBound(room, maxChunks),
      shared: false,
      here: () => new FrameTasks(salt),
      count,
    })
    this.room = room
    this.maxChunks = maxChunks
  }
}
