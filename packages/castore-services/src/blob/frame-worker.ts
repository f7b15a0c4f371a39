import { parentPort, workerData } from 'node:worker_threads'
import { serveTasks } from '../concurrency/slot-threads.js'
import { FrameTasks } from './frame-tasks.js'

/** The thread that hashes and frames chunks. */
const { salt } = (workerData ?? {}) as { readonly salt?: number | undefined }
if (parentPort !== null) serveTasks(parentPort, { runner: new FrameTasks(salt) })
