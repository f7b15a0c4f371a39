import { parentPort, workerData } from 'node:worker_threads'
import type { EmbeddedStore } from '@neve/embedded-store'
import { serveTasks } from '../concurrency/slot-threads.js'
import { FileTasks } from './file-tasks.js'
import type { Task, TaskResult } from './file-tasks-protocol.js'

/** The thread of a filesystem ingestion. */
const { storePath, salt } = workerData as {
  readonly storePath: string | undefined
  readonly salt: number | undefined
}
const tasks = new FileTasks(salt)

/** The store is opened only when there is something in it: into an empty one an import starts sooner without. */
async function openEngine(path: string): Promise<EmbeddedStore> {
  const { EmbeddedStore } = await import('@neve/embedded-store')
  const engine = await EmbeddedStore.open(path, { readOnly: true, create: false, beside: true })
  tasks.engine = engine
  return engine
}

function looksUp(task: Task): boolean {
  if (task.type === 'scan' || !task.lookUp) return false
  return task.type !== 'read' || task.useFileCache
}

let opening: Promise<EmbeddedStore> | undefined
if (parentPort !== null) {
  serveTasks<Task, TaskResult>(parentPort, {
    runner: tasks,
    prepare: (task) => {
      if (storePath === undefined || tasks.engine !== undefined || !looksUp(task)) return
      opening ??= openEngine(storePath)
      return opening
    },
    moved: (result) =>
      'runs' in result
        ? [result.runs, result.elements, result.entries, result.contents, result.digests].map(
            ({ buffer }) => buffer as ArrayBuffer,
          )
        : [],
    close: async () => (await opening)?.close(),
  })
}
