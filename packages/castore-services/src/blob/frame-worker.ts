import { parentPort } from 'node:worker_threads'
import { serveTasks } from '../concurrency/slot-threads.js'
import { FrameTasks } from './frame-tasks.js'

/** The thread that hashes and frames chunks. */
if (parentPort !== null) serveTasks(parentPort, { runner: new FrameTasks() })
