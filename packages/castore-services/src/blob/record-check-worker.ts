import { parentPort, workerData } from 'node:worker_threads'
import { serveTasks } from '../concurrency/slot-threads.js'
import { RecordChecks } from './record-check.js'

/** The thread that checks records of an embedded store. */
const { segmentFolder } = (workerData ?? {}) as { readonly segmentFolder?: string }
if (parentPort !== null && segmentFolder !== undefined)
  serveTasks(parentPort, { runner: new RecordChecks(segmentFolder) })
