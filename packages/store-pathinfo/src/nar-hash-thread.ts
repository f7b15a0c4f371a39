import { createHash } from 'node:crypto'
import { parentPort } from 'node:worker_threads'

/** The thread of a {@link NarHashSink}: answers each piece when it has hashed it, and the end with the hash. */
const hash = createHash('sha256')
parentPort?.on('message', (bytes: Uint8Array | undefined) => {
  if (bytes === undefined) {
    parentPort?.postMessage(new Uint8Array(hash.digest()))
    parentPort?.close()
    return
  }
  hash.update(bytes)
  parentPort?.postMessage(undefined)
})
