import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import type { EmbeddedStore } from '@neve/embedded-store'
import { FileTasks } from './file-tasks.js'
import { SLOT_PACKED, SLOT_RAW, type Slot, type Task, type TaskResult } from './file-tasks-protocol.js'

interface Pending {
  readonly resolve: (result: TaskResult) => void
  readonly reject: (error: unknown) => void
}

interface Thread {
  readonly worker: Worker
  readonly pending: Map<number, Pending>
  /** The slots whose memory it has been sent. */
  readonly slots: Set<number>
}

/** A task as it is sent to a thread, with the memory of its slot the first time. */
export interface TaskMessage {
  readonly id: number
  readonly task: Omit<Task, 'slot'>
  readonly slot: number
  readonly memory: { readonly raw: SharedArrayBuffer; readonly packed: SharedArrayBuffer } | undefined
}

/** How many slots there are: enough to keep the threads busy while results wait for their turn. */
const SLOTS_PER_THREAD = 3

/**
 * The threads of a filesystem ingestion and the shared memory that they work in. Threads are started with the second
 * task: a tree that is one task is done where it was called.
 */
export class FileWorkers implements AsyncDisposable {
  readonly #engine: EmbeddedStore | undefined
  readonly #count: number
  readonly #threads: Thread[] = []
  readonly #freeSlots: Slot[] = []
  readonly #slotWaiters: ((slot: Slot) => void)[] = []
  #slots = 0
  #inline: FileTasks | undefined
  #sequence = 0
  #failure: unknown

  constructor(engine: EmbeddedStore | undefined, count = Math.min(availableParallelism(), 8)) {
    this.#engine = engine
    this.#count = Math.max(1, count)
  }

  /** A slot, as soon as one is free. */
  async slot(): Promise<Slot> {
    const free = this.#freeSlots.pop()
    if (free !== undefined) return free
    if (this.#slots < this.#count * SLOTS_PER_THREAD) {
      return {
        number: this.#slots++,
        raw: Buffer.from(new SharedArrayBuffer(SLOT_RAW)),
        packed: Buffer.from(new SharedArrayBuffer(SLOT_PACKED)),
      }
    }
    return new Promise((resolve) => this.#slotWaiters.push(resolve))
  }

  /** Gives a slot back. */
  release(slot: Slot): void {
    const waiter = this.#slotWaiters.shift()
    if (waiter === undefined) this.#freeSlots.push(slot)
    else waiter(slot)
  }

  /** How many slots can be had without waiting for one to be given back. */
  get freeSlots(): number {
    return this.#freeSlots.length + this.#count * SLOTS_PER_THREAD - this.#slots
  }

  /** Runs a task in this thread. */
  runHere(task: Task): TaskResult {
    this.#inline ??= new FileTasks(this.#engine)
    return this.#inline.run(task)
  }

  /**
   * Runs a task in the thread with the fewest waiting.
   *
   * @param pin tasks with the same number go to the same thread
   */
  run(task: Task, pin?: number): Promise<TaskResult> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    while (this.#threads.length < this.#count) this.#threads.push(this.#start())
    const thread =
      pin === undefined
        ? this.#threads.reduce((best, next) => (next.pending.size < best.pending.size ? next : best))
        : this.#threads[pin % this.#count]!
    const id = this.#sequence++
    return new Promise((resolve, reject) => {
      thread.pending.set(id, { resolve, reject })
      const { slot, ...rest } = task
      const message: TaskMessage = {
        id,
        task: rest,
        slot: slot.number,
        memory: thread.slots.has(slot.number)
          ? undefined
          : {
              raw: slot.raw.buffer as unknown as SharedArrayBuffer,
              packed: slot.packed.buffer as unknown as SharedArrayBuffer,
            },
      }
      thread.slots.add(slot.number)
      thread.worker.postMessage(message)
    })
  }

  #start(): Thread {
    const worker = new Worker(
      new URL(import.meta.resolve('@neve/castore-services/ingest/filesystem-worker')),
      {
        workerData: { storePath: this.#engine?.path },
      },
    )
    const thread: Thread = { worker, pending: new Map(), slots: new Set() }
    worker.on('message', ({ id, result }: { id: number; result: TaskResult }) => {
      const pending = thread.pending.get(id)
      thread.pending.delete(id)
      pending?.resolve(result)
    })
    const fail = (error: unknown): void => {
      this.#failure ??= error
      for (const pending of thread.pending.values()) pending.reject(error)
      thread.pending.clear()
    }
    worker.on('error', fail)
    worker.on('exit', () => fail(new Error('the worker thread ended')))
    return thread
  }

  async close(): Promise<void> {
    this.#failure ??= new Error('the workers were closed')
    this.#inline?.close()
    await Promise.all(this.#threads.map((thread) => thread.worker.terminate()))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
