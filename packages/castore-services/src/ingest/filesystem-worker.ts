import { parentPort, workerData } from 'node:worker_threads'
import { EmbeddedStore } from '@neve/embedded-store'
import { FileTasks } from './file-tasks.js'
import type { Slot, Task } from './file-tasks-protocol.js'
import type { TaskMessage } from './file-workers.js'

/** The worker thread of a filesystem ingestion: takes tasks from the main thread, one answer a task. */
const { storePath } = workerData as { readonly storePath: string | undefined }
const engine =
  storePath === undefined ? undefined : await EmbeddedStore.open(storePath, { readOnly: true, create: false })
const tasks = new FileTasks(engine)
const slots: Slot[] = []
const port = parentPort
port?.on('message', ({ id, task, slot, memory }: TaskMessage) => {
  if (memory !== undefined) {
    slots[slot] = { number: slot, raw: Buffer.from(memory.raw), packed: Buffer.from(memory.packed) }
  }
  const result = tasks.run({ ...task, slot: slots[slot]! } as Task)
  const moved = 'numbers' in result ? [result.numbers.buffer, result.digests.buffer] : []
  port.postMessage({ id, result }, moved as ArrayBuffer[])
})
