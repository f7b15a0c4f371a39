import { parentPort, workerData } from 'node:worker_threads'
import { EmbeddedStore } from '@neve/embedded-store'
import { serveTasks } from '../concurrency/slot-threads.js'
import { FileTasks } from './file-tasks.js'

/** The thread of a filesystem ingestion. */
const { storePath } = workerData as { readonly storePath: string | undefined }
const engine =
  storePath === undefined ? undefined : await EmbeddedStore.open(storePath, { readOnly: true, create: false })
if (parentPort !== null) {
  serveTasks(parentPort, {
    runner: new FileTasks(engine),
    moved: (result) =>
      'numbers' in result ? [result.numbers.buffer as ArrayBuffer, result.digests.buffer as ArrayBuffer] : [],
    close: async () => engine?.close(),
  })
}
