import { writeSync } from 'node:fs'
import { workerData } from 'node:worker_threads'
import type { FeederMemory } from './device/page-feeder.js'

/** The thread that puts pages into the kernel's cache: it does nothing else, so it may wait for the kernel. */
const { descriptor, lengths, slots } = workerData as FeederMemory
const stop = slots.length
for (let slot = 0; ; slot = (slot + 1) % slots.length) {
  Atomics.wait(lengths, slot, 0)
  if (Atomics.load(lengths, stop) === 1) break
  const length = Atomics.load(lengths, slot)
  try {
    writeSync(descriptor, slots[slot]!, 0, length, null)
  } catch {
    // The kernel has forgotten the file, or is gone: nobody misses the pages.
  }
  Atomics.store(lengths, slot, 0)
}
