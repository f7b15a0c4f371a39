import { readdirSync } from 'node:fs'
import { getPriority, setPriority } from 'node:os'

/** Behind those who serve and import, in the queue for the processor and, where it has one, for the disk. */
const NICE = 10

/** Lets other processes go first, with all threads that there are and will be: on Linux each has a priority of its own. */
export function giveWay(): void {
  for (const thread of threads()) {
    try {
      if (getPriority(thread) < NICE) setPriority(thread, NICE)
    } catch {
      // One that has ended since.
    }
  }
}

function threads(): readonly number[] {
  try {
    return readdirSync('/proc/self/task').map(Number)
  } catch {
    return [process.pid]
  }
}
