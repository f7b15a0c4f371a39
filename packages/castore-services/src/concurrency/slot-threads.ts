import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'

/** Shared memory that a task works in. A thread is sent the memory once; after that the number says which it is. */
export interface Slot {
  readonly number: number
  readonly raw: Buffer
  readonly packed: Buffer
}

/** A task for {@link SlotThreads}: everything but the slot must survive a structured clone. */
export interface SlotTask {
  readonly slot: Slot
}

/** Runs tasks one after the other, without waiting. */
export interface TaskRunner<T extends SlotTask, R> {
  run(task: T): R
  close(): void
}

/** What {@link SlotThreads} needs. */
export interface SlotThreadsInit<T extends SlotTask, R> {
  /** The module of the threads, as one imports it; it calls {@link serveTasks}. */
  readonly module: string
  /** Handed to each thread. */
  readonly workerData: unknown
  /** Lengths of the two parts of a slot, in bytes. */
  readonly rawRoom: number
  readonly packedRoom: number
  /** Runs tasks in the calling thread. */
  readonly here: () => TaskRunner<T, R>
  /** How many threads. Default: the machine's, at most 8. */
  readonly count?: number | undefined
}

interface Pending<R> {
  readonly resolve: (result: R) => void
  readonly reject: (error: unknown) => void
}

interface Thread<R> {
  readonly worker: Worker
  /** Resolves when it has ended. */
  readonly ended: Promise<void>
  readonly pending: Map<number, Pending<R>>
  /** The slots whose memory it has been sent. */
  readonly slots: Set<number>
}

/** Sent to a thread that is to end. */
const END = 'end'

/** A task as it is sent to a thread, with the memory of its slot the first time. */
interface TaskMessage {
  readonly id: number
  readonly task: object
  readonly slot: number
  readonly memory: { readonly raw: SharedArrayBuffer; readonly packed: SharedArrayBuffer } | undefined
}

/**
 * Threads for work on bytes: contents lie in shared memory, messages say only what to do with it. The threads are
 * started with the first task that is sent to one, and do not keep the process alive while they have nothing to do.
 */
export class SlotThreads<T extends SlotTask, R> implements AsyncDisposable {
  readonly #init: SlotThreadsInit<T, R>
  readonly #threads: Thread<R>[] = []
  readonly #idleSlots: Slot[] = []
  #slots = 0
  #here: TaskRunner<T, R> | undefined
  #sequence = 0
  #failure: unknown
  #closing: Promise<void> | undefined
  readonly count: number

  constructor(init: SlotThreadsInit<T, R>) {
    this.#init = init
    this.count = Math.max(1, init.count ?? Math.min(availableParallelism(), 8))
  }

  /** Memory for a task: see {@link SlotAllowance}, which bounds how much of it one consumer takes. */
  takeSlot(): Slot {
    return (
      this.#idleSlots.pop() ?? {
        number: this.#slots++,
        raw: Buffer.from(new SharedArrayBuffer(this.#init.rawRoom)),
        packed: Buffer.from(new SharedArrayBuffer(this.#init.packedRoom)),
      }
    )
  }

  giveSlot(slot: Slot): void {
    this.#idleSlots.push(slot)
  }

  /** Runs a task in this thread. */
  runHere(task: T): R {
    this.#here ??= this.#init.here()
    return this.#here.run(task)
  }

  /**
   * Runs a task in the thread with the fewest waiting.
   *
   * @param pin tasks with the same number go to the same thread
   */
  run(task: T, pin?: number): Promise<R> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    while (this.#threads.length < this.count) this.#threads.push(this.#start())
    const thread =
      pin === undefined
        ? this.#threads.reduce((best, next) => (next.pending.size < best.pending.size ? next : best))
        : this.#threads[pin % this.count]!
    const id = this.#sequence++
    const { slot, ...rest } = task
    const known = thread.slots.has(slot.number)
    thread.slots.add(slot.number)
    const message: TaskMessage = {
      id,
      task: rest,
      slot: slot.number,
      memory: known ? undefined : { raw: memoryOf(slot.raw), packed: memoryOf(slot.packed) },
    }
    return new Promise((resolve, reject) => {
      if (thread.pending.size === 0) thread.worker.ref()
      thread.pending.set(id, { resolve, reject })
      thread.worker.postMessage(message)
    })
  }

  #start(): Thread<R> {
    const { module, workerData } = this.#init
    const worker = new Worker(new URL(import.meta.resolve(module)), { workerData })
    const ended = new Promise<void>((resolve) => worker.on('exit', () => resolve()))
    const thread: Thread<R> = { worker, ended, pending: new Map(), slots: new Set() }
    worker.on('message', ({ id, result }: { id: number; result: R }) => {
      const pending = thread.pending.get(id)
      thread.pending.delete(id)
      if (thread.pending.size === 0) worker.unref()
      pending?.resolve(result)
    })
    const fail = (error: unknown): void => {
      this.#failure ??= error
      for (const pending of thread.pending.values()) pending.reject(error)
      thread.pending.clear()
    }
    worker.on('error', fail)
    worker.on('exit', () => fail(new Error('a worker thread ended')))
    worker.unref()
    return thread
  }

  /** Ends the threads, each after the tasks that it has been sent. Tasks are refused from now on. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#failure ??= new Error('the threads were closed')
    this.#here?.close()
    await Promise.all(
      this.#threads.map(({ worker, ended }) => {
        // They end themselves: a thread that is ended from outside while it loads an addon takes the process with it.
        worker.ref()
        worker.postMessage(END)
        return ended
      }),
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

function memoryOf(buffer: Buffer): SharedArrayBuffer {
  return buffer.buffer as unknown as SharedArrayBuffer
}

/** What a thread's module hears and answers with: a `parentPort`. */
export interface TaskPort {
  on(event: 'message', listener: (message: unknown) => void): unknown
  postMessage(message: unknown, transfer?: readonly ArrayBuffer[]): void
}

/** What a thread has to do its work with. */
export interface TaskServer<T extends SlotTask, R> {
  readonly runner: TaskRunner<T, R>
  /** What a task needs before it can run; tasks behind it wait with it. */
  readonly prepare?: (task: T) => Promise<unknown> | undefined
  /** What of a result may be moved instead of copied. Default: nothing. */
  readonly moved?: (result: R) => readonly ArrayBuffer[]
  /** Lets go of what the runner works with. */
  readonly close?: () => Promise<void>
}

/** The other end of {@link SlotThreads}: answers tasks until the thread is to end, and ends it then. */
export function serveTasks<T extends SlotTask, R>(port: TaskPort, server: TaskServer<T, R>): void {
  const { runner, prepare = () => undefined, moved = () => [], close = async () => {} } = server
  const slots: Slot[] = []
  // Messages are answered in order; most at once.
  let tail: Promise<void> | undefined
  const inOrder = (ready: Promise<unknown> | undefined, answer: () => void): void => {
    if (ready === undefined && tail === undefined) {
      answer()
      return
    }
    const turn = (tail ?? Promise.resolve())
      .then(() => ready)
      .then(() => {
        if (tail === turn) tail = undefined
        answer()
      })
    tail = turn
  }
  port.on('message', (message) => {
    if (message === END) {
      inOrder(undefined, () => {
        runner.close()
        close().finally(() => process.exit())
      })
      return
    }
    const { id, task, slot, memory } = message as TaskMessage
    if (memory !== undefined) {
      slots[slot] = { number: slot, raw: Buffer.from(memory.raw), packed: Buffer.from(memory.packed) }
    }
    const whole = { ...task, slot: slots[slot]! } as T
    inOrder(prepare(whole), () => {
      const result = runner.run(whole)
      port.postMessage({ id, result }, moved(result))
    })
  })
}

/** The slots of one consumer, so many and no more: a slow one does not keep others waiting. */
export class SlotAllowance {
  readonly #threads: { takeSlot(): Slot; giveSlot(slot: Slot): void }
  readonly #waiters: ((slot: Slot) => void)[] = []
  #left: number

  constructor(threads: { takeSlot(): Slot; giveSlot(slot: Slot): void }, count: number) {
    this.#threads = threads
    this.#left = count
  }

  /** How many can be taken without waiting. */
  get free(): number {
    return this.#left
  }

  /** A slot, as soon as this consumer has given one back if need be. */
  async take(): Promise<Slot> {
    if (this.#left > 0) {
      this.#left--
      return this.#threads.takeSlot()
    }
    return new Promise((resolve) => this.#waiters.push(resolve))
  }

  give(slot: Slot): void {
    const waiter = this.#waiters.shift()
    if (waiter !== undefined) {
      waiter(slot)
      return
    }
    this.#left++
    this.#threads.giveSlot(slot)
  }
}
