import { workerData } from 'node:worker_threads'
import { EmbeddedStore } from '@neve/embedded-store'
import { ChunkWorker } from './chunk-threads/chunk-worker.js'
import type { SharedChunks } from './chunk-threads/shared-chunks.js'

/** A thread that loads chunks for the one that serves, and answers reads in its place. */
const shared = workerData as SharedChunks

async function load(): Promise<void> {
  await using engine = await EmbeddedStore.open(shared.storePath, {
    readOnly: true,
    create: false,
    beside: true,
  })
  new ChunkWorker(shared, engine).run()
}

void load()
