import { parentPort, workerData } from 'node:worker_threads'
import { EmbeddedStore } from '@neve/embedded-store'
import { flattenResults } from './file-results-codec.js'
import { FileTasks } from './file-tasks.js'
import type { ReadFilesResult, Task } from './file-tasks-protocol.js'

/** The worker thread of a filesystem ingestion: takes tasks from the main thread, one answer a task. */
const { storePath } = workerData as { readonly storePath: string | undefined }
const engine =
  storePath === undefined ? undefined : await EmbeddedStore.open(storePath, { readOnly: true, create: false })
const tasks = new FileTasks(engine)
const port = parentPort
port?.on('message', ({ id, task }: { id: number; task: Task }) => {
  const result = tasks.run(task)
  if (task.type !== 'read') {
    port.postMessage({ id, result })
    return
  }
  const flat = flattenResults(result as ReadFilesResult)
  port.postMessage({ id, result: flat }, [
    flat.numbers.buffer as ArrayBuffer,
    flat.digests.buffer as ArrayBuffer,
  ])
})
