import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { EmbeddedStore } from '@neve/embedded-store'
import { serveTasks } from '../concurrency/slot-threads.js'
import { ContentTasks } from './content-tasks.js'

/** The thread that reads content of an embedded store. */
const { storePath } = workerData as { readonly storePath: string }

async function serve(port: MessagePort): Promise<void> {
  const engine = await EmbeddedStore.open(storePath, { readOnly: true, create: false, beside: true })
  serveTasks(port, { runner: new ContentTasks(engine), close: () => engine.close() })
}

if (parentPort !== null) void serve(parentPort)
