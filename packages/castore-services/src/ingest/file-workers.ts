import type { EmbeddedStore } from '@neve/embedded-store'
import { type Placement, SlotThreads } from '../concurrency/slot-threads.js'
import { FileTasks } from './file-tasks.js'
import { SLOT_PACKED, SLOT_RAW, type Task, type TaskResult } from './file-tasks-protocol.js'

/**
 * The threads of filesystem ingestions into one store: share them between ingestions that follow each other.
 *
 * Half of them read trees, the others pack what was read: each has but one kind of work to compile.
 */
export class FileWorkers extends SlotThreads<Task, TaskResult> {
  /** Where to run a {@link ReadTreeTask}, and a {@link PackFilesTask}. */
  readonly readers: Placement
  readonly packers: Placement

  /**
   * @param engine the store that is written to; undefined when contents go to another service
   * @param count how many threads. Default: the machine's, at most 8
   */
  constructor(engine: EmbeddedStore | undefined, count?: number) {
    super({
      module: '@neve/castore-services/ingest/filesystem-worker',
      workerData: { storePath: engine?.path, salt: engine?.salt },
      rawRoom: SLOT_RAW,
      packedRoom: SLOT_PACKED,
      here: () => new FileTasks(engine?.salt, engine),
      count,
    })
    const half = Math.max(1, Math.floor(this.count / 2))
    this.readers = { to: half }
    this.packers = { from: half % this.count }
  }
}
