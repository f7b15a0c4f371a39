import { Worker } from 'node:worker_threads'
import { CastoreError } from '../errors.js'
import type { FileOutcome, FileRound } from './file-batch.js'
import { fileError } from './file-errors.js'
import type { FileWorkerData, FileWorkerReply, FileWorkerRequest } from './file-worker.js'
import type { NewObject } from './object-store.js'

/** The most of one batch: it waits in memory twice, and everybody in it waits for the last. */
const BATCH_BYTES = 8 * 1024 * 1024
const BATCH_OBJECTS = 2048
/** With two, one prepares a batch while the disk syncs that of the other. */
const THREADS = 2
/** A second thread pays when this many wait for the first, or so many bytes. */
const WAITING_FOR_SECOND = 64
const BYTES_FOR_SECOND = 2 * 1024 * 1024

/** Objects that were handed over together. */
interface Write {
  readonly ifAbsent: boolean
  /** Of each whether it was written. */
  readonly written: boolean[]
  failure: { readonly error: unknown } | undefined
  /** How many are not written yet. */
  left: number
  readonly settle: () => void
}

interface Entry extends NewObject {
  readonly write: Write
  /** Which of its write's it is. */
  readonly index: number
}

interface Thread {
  readonly worker: Worker
  /** What the last round has left for the next. */
  pending: readonly Entry[]
  batch: readonly Entry[]
  /** Room for the contents of a batch, which moves to the thread and back. */
  room: ArrayBuffer
}

/**
 * Writes objects in batches that share their syncs: what is put while a batch is being written makes the next one
 * (DESIGN decision 10).
 */
export class FileWriter {
  readonly #data: FileWorkerData
  readonly #name: string
  // A Set keeps its order of insertion, and an entry that is cancelled leaves it without a scan.
  readonly #queue = new Set<Entry>()
  /** Bytes of what is in the queue. */
  #queued = 0
  readonly #threads: Thread[] = []
  readonly #idle: Thread[] = []
  #scheduled = false
  #closed: Promise<void> | undefined
  #drained: () => void = () => {}

  /** @param name of the store, for messages */
  constructor(data: FileWorkerData, name: string) {
    this.#data = data
    this.#name = name
  }

  /**
   * Settles when all are written, also where some fail.
   *
   * @returns of each whether it was written; false only with `ifAbsent`
   * @throws the first failure; the signal's reason as soon as it fires
   */
  write(objects: readonly NewObject[], ifAbsent: boolean, signal?: AbortSignal): Promise<readonly boolean[]> {
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        signal?.removeEventListener('abort', onAbort)
        if (write.failure === undefined) resolve(write.written)
        else reject(write.failure.error)
      }
      const written: boolean[] = []
      const write: Write = { ifAbsent, written, failure: undefined, left: objects.length, settle }
      const entries = objects.map(({ key, content }, index): Entry => ({ key, content, write, index }))
      const onAbort = (): void => {
        for (const entry of entries) if (this.#queue.delete(entry)) this.#queued -= entry.content.length
        reject(signal?.reason)
        this.#checkDrained()
      }
      signal?.addEventListener('abort', onAbort, { once: true })
      for (const entry of entries) {
        this.#queue.add(entry)
        this.#queued += entry.content.length
      }
      if (entries.length === 0) settle()
      this.#schedule()
    })
  }

  /** Writes what was handed over before, then ends the threads. */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#drained = resolve
      this.#checkDrained()
    })
    await Promise.all(this.#threads.splice(0).map(({ worker }) => worker.terminate()))
  }

  #checkDrained(): void {
    const isIdle = this.#idle.length === this.#threads.length
    if (isIdle && this.#queue.size === 0 && this.#idle.every(({ pending }) => pending.length === 0))
      this.#drained()
  }

  // Not at once, so that what a caller puts in one go is one batch.
  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#dispatch()
    })
  }

  #dispatch(): void {
    for (;;) {
      const thread = this.#takeThread()
      if (thread === undefined) break
      thread.batch = this.#takeBatch()
      thread.worker.ref()
      const request = packed(thread)
      thread.worker.postMessage(request, [request.contents])
    }
    this.#checkDrained()
  }

  /** One that has something to do. */
  #takeThread(): Thread | undefined {
    const unfinished = this.#idle.findIndex(({ pending }) => pending.length > 0)
    if (unfinished >= 0) return this.#idle.splice(unfinished, 1)[0]
    if (this.#queue.size === 0) return undefined
    const idle = this.#idle.pop()
    if (idle !== undefined || this.#threads.length >= THREADS) return idle
    const isMuch = this.#queue.size >= WAITING_FOR_SECOND || this.#queued >= BYTES_FOR_SECOND
    return this.#threads.length === 0 || isMuch ? this.#start() : undefined
  }

  #takeBatch(): Entry[] {
    const batch: Entry[] = []
    let length = 0
    for (const entry of this.#queue) {
      length += entry.content.length
      if (batch.length > 0 && (length > BATCH_BYTES || batch.length === BATCH_OBJECTS)) break
      this.#queue.delete(entry)
      this.#queued -= entry.content.length
      batch.push(entry)
    }
    return batch
  }

  #start(): Thread {
    const module = new URL(import.meta.resolve('@neve/castore-services/object-store/file-worker'))
    const thread: Thread = {
      worker: new Worker(module, { workerData: this.#data }),
      pending: [],
      batch: [],
      room: new ArrayBuffer(0),
    }
    thread.worker.on('message', ({ round, contents }: FileWorkerReply) => {
      thread.room = contents
      this.#settle(thread, round)
    })
    thread.worker.on('error', (error) => this.#lose(thread, error))
    thread.worker.on('exit', () => this.#lose(thread, new Error('the thread ended')))
    this.#threads.push(thread)
    return thread
  }

  #settle(thread: Thread, { earlier, items }: FileRound): void {
    for (const [index, entry] of thread.pending.entries()) this.#answer(entry, earlier[index]!)
    for (const [index, entry] of thread.batch.entries()) this.#answer(entry, items[index]!)
    thread.pending = thread.batch.filter((_, index) => items[index] === 'pending')
    thread.batch = []
    // An idle thread does not keep the process alive.
    if (thread.pending.length === 0) thread.worker.unref()
    this.#idle.push(thread)
    this.#schedule()
  }

  #answer({ key, write, index }: Entry, outcome: FileOutcome): void {
    if (outcome === 'pending') return
    if (typeof outcome === 'string') write.written[index] = outcome === 'written'
    else write.failure ??= { error: fileError(outcome.failure, `write object ${key}`, this.#name) }
    if (--write.left === 0) write.settle()
  }

  #lose(thread: Thread, cause: unknown): void {
    for (const { key, write } of [...thread.pending, ...thread.batch]) {
      const message = `cannot write object ${key}: the writing thread failed (${this.#name})`
      write.failure ??= { error: new CastoreError('storage', message, { cause }) }
      if (--write.left === 0) write.settle()
    }
    thread.pending = []
    thread.batch = []
    for (const list of [this.#threads, this.#idle]) {
      const index = list.indexOf(thread)
      if (index >= 0) list.splice(index, 1)
    }
    this.#schedule()
  }
}

function packed({ batch, room }: Thread): FileWorkerRequest {
  const lengths = batch.map(({ content }) => content.length)
  const length = lengths.reduce((sum, next) => sum + next, 0)
  // Not from the pool of small buffers, which cannot be handed over, and not zeroed first.
  const contents = room.byteLength >= length ? Buffer.from(room) : Buffer.allocUnsafeSlow(length)
  let offset = 0
  for (const { content } of batch) {
    contents.set(content, offset)
    offset += content.length
  }
  return {
    contents: contents.buffer as ArrayBuffer,
    keys: batch.map(({ key }) => key).join('\n'),
    lengths,
    ifAbsent: batch.map(({ write }) => write.ifAbsent),
  }
}
