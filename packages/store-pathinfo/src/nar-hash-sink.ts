import { createHash } from 'node:crypto'
import { Worker } from 'node:worker_threads'
import type { TreeSink, TreeTokens } from '@neve/castore-services/ingest/filesystem'
import { NAR_TOKENS } from '@neve/nar'
import type { NarMeasure } from './measure-nar.js'

/** So much of a NAR is hashed in the calling thread, if it is all: another thread takes longer to start. In bytes. */
const SMALL = 1024 * 1024

interface Waiting {
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/** Measures the NAR of a tree while the tree is being ingested, in a thread of its own: a hash cannot be divided. */
export class NarHashSink implements TreeSink, AsyncDisposable {
  readonly tokens: TreeTokens = NAR_TOKENS
  /** The beginning, while that is all. */
  #beginning: Uint8Array[] = [NAR_TOKENS.magic]
  #length = NAR_TOKENS.magic.length
  #worker: Worker | undefined
  #ended: Promise<unknown> | undefined
  #digest: Uint8Array | undefined
  #failure: unknown
  #ending = false
  /** Of the pieces that the thread has been sent, in order. */
  readonly #waiting: Waiting[] = []

  start(): void {
    if (this.#worker !== undefined) return
    const worker = this.#startThread()
    this.#worker = worker
    // Should it fail, so does what follows.
    for (const early of this.#beginning.splice(0)) this.#send(worker, early).catch(() => undefined)
  }

  write(bytes: Uint8Array): Promise<void> {
    this.#length += bytes.length
    if (this.#worker === undefined && this.#length <= SMALL) {
      this.#beginning.push(Uint8Array.prototype.slice.call(bytes))
      return Promise.resolve()
    }
    this.start()
    return this.#send(this.#worker!, bytes)
  }

  /** The measure, once the tree is complete. */
  async finish(): Promise<NarMeasure> {
    const narSize = BigInt(this.#length)
    if (this.#worker === undefined) {
      const hash = createHash('sha256')
      for (const bytes of this.#beginning) hash.update(bytes)
      return { narSize, narSha256: new Uint8Array(hash.digest()) }
    }
    await this.#send(this.#worker, undefined)
    if (this.#digest === undefined) throw new Error('the thread that hashes gave no hash')
    return { narSize, narSha256: this.#digest }
  }

  /** Ends the thread: after a failure, too. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending = true
    if (this.#digest === undefined) this.#worker?.postMessage(undefined)
    this.#worker?.ref()
    await this.#ended
  }

  #startThread(): Worker {
    const worker = new Worker(new URL(import.meta.resolve('@neve/store-pathinfo/nar-hash-thread')))
    worker.on('message', (digest: Uint8Array | undefined) => {
      this.#digest = digest
      this.#waiting.shift()?.resolve()
      // Whoever waits for its end would else not see it: after a failure, answers are still to come.
      if (this.#waiting.length === 0 && !this.#ending) worker.unref()
    })
    const fail = (error: unknown): void => {
      this.#failure ??= error
      for (const { reject } of this.#waiting.splice(0)) reject(this.#failure)
    }
    worker.on('error', fail)
    this.#ended = new Promise((resolve) => worker.on('exit', resolve))
    worker.on('exit', () => fail(new Error('the thread that hashes has ended')))
    return worker
  }

  #send(worker: Worker, bytes: Uint8Array | undefined): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject })
      worker.ref()
      worker.postMessage(bytes)
    })
  }
}
