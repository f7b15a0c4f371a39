import { writevSync } from 'node:fs'
import { workerData } from 'node:worker_threads'
import {
  awaitSlot,
  Control,
  FEEDS,
  Feed,
  type SharedChunks,
  SLOT_BYTES,
  unpin,
} from './chunk-threads/shared-chunks.js'
import { OUT_HEADER } from './protocol/constants.js'

/** `FUSE_NOTIFY_STORE`: here is some of a file, for the page cache. */
const NOTIFY_STORE = 4
const HEADER: number = OUT_HEADER + 24

/**
 * The thread that puts chunks into the kernel's cache. The kernel may hold their pages until a read that waits for an
 * answer has it, so nobody may wait for this thread: it does nothing else.
 */
const shared = workerData as SharedChunks
const { descriptor, control, feeds, bytes } = shared
const head = new DataView(new ArrayBuffer(HEADER))
for (let taken = 0; ; taken = (taken + 1) | 0) {
  if (!awaitFeed(taken)) break
  const at = ((taken >>> 0) % FEEDS) * Feed.words
  const [, slot = 0, nodeLow = 0, nodeHigh = 0, offsetLow = 0, offsetHigh = 0, from = 0, to = 0] =
    feeds.subarray(at, at + Feed.words)
  head.setUint32(0, HEADER + to - from, true)
  head.setInt32(4, NOTIFY_STORE, true)
  head.setInt32(OUT_HEADER, nodeLow, true)
  head.setInt32(OUT_HEADER + 4, nodeHigh, true)
  head.setInt32(OUT_HEADER + 8, offsetLow, true)
  head.setInt32(OUT_HEADER + 12, offsetHigh, true)
  head.setUint32(OUT_HEADER + 16, to - from, true)
  if (awaitSlot(shared, slot)) {
    try {
      writevSync(descriptor, [head, bytes.subarray(slot * SLOT_BYTES + from, slot * SLOT_BYTES + to)])
    } catch {
      // The kernel has forgotten the file, or is gone: nobody misses the pages.
    }
  }
  unpin(shared, slot)
  Atomics.store(feeds, at + Feed.waits, 0)
}

/** @returns false when there will be no more */
function awaitFeed(taken: number): boolean {
  for (;;) {
    const news = Atomics.load(control, Control.feedNews)
    if (Atomics.load(control, Control.stop) === 1) return false
    if (Atomics.load(control, Control.feedsGiven) !== taken) return true
    Atomics.wait(control, Control.feedNews, news)
  }
}
