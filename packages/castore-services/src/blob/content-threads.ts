import type { EmbeddedStore } from '@neve/embedded-store'
import { SlotThreads } from '../concurrency/slot-threads.js'
import { type ContentResult, type ContentTask, ContentTasks } from './content-tasks.js'
import { SharedTasks } from './shared-tasks.js'

export { type Slot, SlotAllowance } from '../concurrency/slot-threads.js'
export type { ContentFailure, ContentResult, ContentTask, FrameCheck } from './content-tasks.js'
export { type SharedTask, SharedTasks, type TaskGroup } from './shared-tasks.js'

/** A task takes no further piece from here on, in bytes of content and literal. */
export const CONTENT_TASK_BYTES = 1024 * 1024
/** The most pieces of one task. */
export const CONTENT_TASK_PIECES = 512
/** Room for the literal of one task, in bytes. */
export const LITERAL_ROOM = 256 * 1024
/**
 * Room for what comes of one task, in bytes: when it is all but full, the largest chunk and a literal fit behind; so do
 * the headers of frames (see `zstdOutputBound`), since a task is cut long before its literal fills all of its room.
 */
const CONTENT_ROOM = CONTENT_TASK_BYTES + 512 * 1024 + LITERAL_ROOM

/** How many slots all readers have together for what they load ahead. */
const SLOTS_AHEAD = 8

/** Threads that read, expand and verify content of one embedded store. Any number of readers may share them. */
export class ContentThreads extends SlotThreads<ContentTask, ContentResult> {
  /** Slots that may still be taken for what is loaded ahead, by renderings of NARs. */
  aheadLeft = SLOTS_AHEAD
  /** How many renderings are under way: the more, the less each of them should hold. */
  renderings = 0
  /** What renderings of the same NAR share. */
  readonly shared = new SharedTasks(this)

  constructor(engine: EmbeddedStore, count?: number) {
    super({
      module: '@neve/castore-services/blob/content-worker',
      workerData: { storePath: engine.path },
      rawRoom: CONTENT_ROOM,
      packedRoom: LITERAL_ROOM,
      shared: false,
      here: () => new ContentTasks(engine),
      count,
    })
  }
}
