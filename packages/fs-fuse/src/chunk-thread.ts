import { workerData } from 'node:worker_threads'
import { ChunkWorker } from './chunk-threads/chunk-worker.js'
import type { SharedChunks } from './chunk-threads/shared-chunks.js'

/** A thread that loads chunks for the one that serves, and answers reads in its place. */
new ChunkWorker(workerData as SharedChunks).run()
