import type { EmbeddedStore } from '@neve/embedded-store'
import { SlotThreads } from '../concurrency/slot-threads.js'
import { type ContentResult, type ContentTask, ContentTasks } from './content-tasks.js'

export { type Slot, SlotAllowance } from '../concurrency/slot-threads.js'
export type { ContentFailure, ContentResult, ContentTask } from './content-tasks.js'

/** Room for the content of one task, in bytes: a task is full at half of it, and the largest chunk fits behind. */
export const CONTENT_ROOM = 1024 * 1024 + 512 * 1024
/** A task takes no further piece from here on, in bytes. */
export const CONTENT_TASK_BYTES = 1024 * 1024
/** The most pieces of one task. */
export const CONTENT_TASK_PIECES = 512

/** Threads that read, expand and verify content of one embedded store. Any number of readers may share them. */
export class ContentThreads extends SlotThreads<ContentTask, ContentResult> {
  constructor(engine: EmbeddedStore, count?: number) {
    super({
      module: '@neve/castore-services/blob/content-worker',
      workerData: { storePath: engine.path },
      rawRoom: CONTENT_ROOM,
      packedRoom: 0,
      shared: false,
      here: () => new ContentTasks(engine),
      count,
    })
  }
}
