import { createHash, type Hash } from 'node:crypto'
import { parentPort } from 'node:worker_threads'
import type { Sha256Answer, Sha256Message } from './sha256-stream.js'

/** Less than this is not worth an answer of its own, in bytes. */
const ANSWER_EVERY = 512 * 1024

/** The thread that hashes streams: see {@link Sha256Stream}. */
const streams = new Map<number, { readonly hash: Hash; unanswered: number }>()
const answer = (message: Sha256Answer): void => parentPort?.postMessage(message)

parentPort?.on('message', (message: Sha256Message) => {
  if (message === 'end') {
    parentPort?.close()
    return
  }
  const { id, bytes } = message
  let stream = streams.get(id)
  if (stream === undefined) {
    stream = { hash: createHash('sha256'), unanswered: 0 }
    streams.set(id, stream)
  }
  if (bytes instanceof Uint8Array) {
    stream.hash.update(bytes)
    stream.unanswered += bytes.length
    if (stream.unanswered < ANSWER_EVERY) return
    answer({ id, hashed: stream.unanswered })
    stream.unanswered = 0
    return
  }
  streams.delete(id)
  if (bytes === 'digest') answer({ id, digest: new Uint8Array(stream.hash.digest()) })
})
