import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import type { CallOptions } from '../call-options.js'
import { abortable } from './abortable.js'

/**
 * Memory that a task works in. Shared memory is sent to a thread once; after that the number says which it is. Memory
 * that is not shared moves to the thread and back: then `raw` and `packed` are others after each task.
 */
export interface Slot {
  readonly number: number
  raw: Buffer
  packed: Buffer
  /** Holds the id of the task that waits to be run in shared memory: whoever takes it out runs the task. */
  readonly waiting: Int32Array | undefined
}

/** A task for {@link SlotThreads}: everything but the slot must survive a structured clone. */
export interface SlotTask {
  readonly slot: Slot
}

/** Which threads may run a task. */
export interface Placement {
  /** Tasks with the same number go to the same thread. */
  readonly pin?: number | undefined
  /** The first of them. Default: 0. */
  readonly from?: number | undefined
  /** The one after the last of them. Default: all. */
  readonly to?: number | undefined
  /** Of threads that have as few waiting, rather not the one that this number pins to. */
  readonly apart?: number | undefined
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
  /**
   * Whether caller and thread may use a slot at the same time. Memory that is not shared moves between them, and is
   * several times as fast to copy. Default: true.
   */
  readonly shared?: boolean | undefined
  /** Runs tasks in the calling thread. */
  readonly here: () => TaskRunner<T, R>
  /** How many threads. Default: the machine's, at most 8. */
  readonly count?: number | undefined
}

interface Pending<T, R> {
  readonly task: T
  readonly resolve: (result: R) => void
  readonly reject: (error: unknown) => void
}

interface Thread<T, R> {
  readonly worker: Worker
  /** Resolves when it has ended. */
  readonly ended: Promise<void>
  readonly pending: Map<number, Pending<T, R>>
  /** The slots whose memory it has been sent. */
  readonly slots: Set<number>
}

/** How many slots of memory that moves are kept for later. */
const MAX_IDLE_MOVED = 16

/** Ids of tasks are positive numbers of 31 bits, so that they go into a slot. */
const MAX_SEQUENCE = 0x7fffffff

/** @returns whether this call is the one that may run the task */
function takeOut({ waiting }: Slot, id: number): boolean {
  return waiting === undefined || Atomics.compareExchange(waiting, 0, id, 0) === id
}

/** Sent to a thread that is to end. */
const END = 'end'

/** A task as it is sent to a thread, with the memory of its slot the first time. */
interface TaskMessage {
  readonly id: number
  readonly task: object
  readonly slot: number
  readonly memory: SlotMemory | undefined
}

/** A slot's memory, shared or moved. */
interface SlotMemory {
  readonly raw: ArrayBufferLike
  readonly packed: ArrayBufferLike
  /** Undefined where the memory is moved. */
  readonly waiting: Int32Array | undefined
}

/**
 * Threads for work on bytes: contents lie in shared memory, messages say only what to do with it. The threads are
 * started with the first task that is sent to one, and do not keep the process alive while they have nothing to do.
 */
export class SlotThreads<T extends SlotTask, R> implements AsyncDisposable {
  readonly #init: SlotThreadsInit<T, R>
  readonly #threads: Thread<T, R>[] = []
  readonly #idleSlots: Slot[] = []
  #slots = 0
  #here: TaskRunner<T, R> | undefined
  #sequence = 0
  #failure: unknown
  #closing: Promise<void> | undefined
  readonly #shared: boolean
  readonly count: number

  constructor(init: SlotThreadsInit<T, R>) {
    this.#init = init
    this.#shared = init.shared !== false
    this.count = Math.max(1, init.count ?? Math.min(availableParallelism(), 8))
  }

  /** Memory for a task: see {@link SlotAllowance}, which bounds how much of it one consumer takes. */
  takeSlot(): Slot {
    const { rawRoom, packedRoom } = this.#init
    const room = (length: number): Buffer =>
      Buffer.from(this.#shared ? new SharedArrayBuffer(length) : new ArrayBuffer(length))
    return (
      this.#idleSlots.pop() ?? {
        number: this.#slots++,
        raw: room(rawRoom),
        packed: room(packedRoom),
        waiting: this.#shared ? new Int32Array(new SharedArrayBuffer(4)) : undefined,
      }
    )
  }

  giveSlot(slot: Slot): void {
    // Memory that moves is known to nobody else: what a rush has left need not stay.
    if (this.#shared || this.#idleSlots.length < MAX_IDLE_MOVED) this.#idleSlots.push(slot)
  }

  /** Runs a task in this thread. */
  runHere(task: T): R {
    this.#here ??= this.#init.here()
    return this.#here.run(task)
  }

  /** Runs a task in the thread with the fewest waiting, of those where it may. */
  run(task: T, where: Placement = {}): Promise<R> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    const thread = this.#threadFor(where)
    this.#sequence = (this.#sequence % MAX_SEQUENCE) + 1
    const id = this.#sequence
    const { slot, ...rest } = task
    const { raw, packed, waiting } = slot
    const known = this.#shared && thread.slots.has(slot.number)
    if (this.#shared) thread.slots.add(slot.number)
    const message: TaskMessage = {
      id,
      task: rest,
      slot: slot.number,
      memory: known ? undefined : { raw: raw.buffer, packed: packed.buffer, waiting },
    }
    if (waiting !== undefined) Atomics.store(waiting, 0, id)
    return new Promise((resolve, reject) => {
      if (thread.pending.size === 0) thread.worker.ref()
      thread.pending.set(id, { task, resolve, reject })
      thread.worker.postMessage(message, this.#shared ? [] : buffersOf(slot))
    })
  }

  /** Starts the threads before there is a task for them, as many as there are or the first `to`: it takes them a while. */
  start(to = this.count): void {
    if (this.#failure !== undefined) return
    while (this.#threads.length < to) this.#threads.push(this.#start())
  }

  #threadFor({ pin, from = 0, to = this.count, apart }: Placement): Thread<T, R> {
    const pinned = pin === undefined ? undefined : pin % this.count
    this.start(pinned === undefined ? to : pinned + 1)
    if (pinned !== undefined) return this.#threads[pinned]!
    const avoided = apart === undefined ? undefined : this.#threads[apart % this.count]
    const load = (thread: Thread<T, R>): number => thread.pending.size + (thread === avoided ? 0.5 : 0)
    return this.#threads.slice(from, to).reduce((best, next) => (load(next) < load(best) ? next : best))
  }

  /**
   * Runs the task in a shared slot here and now, if no thread has begun with it: for a caller that would only wait. Not
   * for tasks that are pinned.
   */
  hurry(slot: Slot): void {
    for (const thread of this.#threads) {
      for (const [id, { task, resolve, reject }] of thread.pending) {
        if (task.slot !== slot || !takeOut(slot, id)) continue
        this.#settle(thread, id)
        try {
          resolve(this.runHere(task))
        } catch (error) {
          reject(error)
        }
        return
      }
    }
  }

  #settle(thread: Thread<T, R>, id: number): void {
    thread.pending.delete(id)
    if (thread.pending.size === 0) thread.worker.unref()
  }

  #start(): Thread<T, R> {
    const { module, workerData } = this.#init
    const worker = new Worker(new URL(import.meta.resolve(module)), { workerData })
    const ended = new Promise<void>((resolve) => worker.on('exit', () => resolve()))
    const thread: Thread<T, R> = { worker, ended, pending: new Map(), slots: new Set() }
    worker.on('message', ({ id, result, memory }: { id: number; result: R; memory?: SlotMemory }) => {
      const pending = thread.pending.get(id)
      if (memory !== undefined && pending !== undefined) {
        pending.task.slot.raw = Buffer.from(memory.raw)
        pending.task.slot.packed = Buffer.from(memory.packed)
      }
      this.#settle(thread, id)
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

function buffersOf(slot: Slot): ArrayBuffer[] {
  return [slot.raw.buffer as ArrayBuffer, slot.packed.buffer as ArrayBuffer]
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
      const { raw, packed, waiting } = memory
      slots[slot] = { number: slot, raw: Buffer.from(raw), packed: Buffer.from(packed), waiting }
    }
    const lent = slots[slot]!
    const whole = { ...task, slot: lent } as T
    inOrder(prepare(whole), () => {
      if (!takeOut(lent, id)) return
      const result = runner.run(whole)
      if (lent.waiting !== undefined) {
        port.postMessage({ id, result }, moved(result))
        return
      }
      delete slots[slot]
      const back: SlotMemory = { raw: lent.raw.buffer, packed: lent.packed.buffer, waiting: undefined }
      port.postMessage({ id, result, memory: back }, [...moved(result), ...buffersOf(lent)])
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
  async take({ signal }: CallOptions = {}): Promise<Slot> {
    signal?.throwIfAborted()
    if (this.#left > 0) {
      this.#left--
      return this.#threads.takeSlot()
    }
    const taking = new Promise<Slot>((resolve) => this.#waiters.push(resolve))
    try {
      return await abortable(taking, signal)
    } catch (error) {
      taking.then((slot) => this.give(slot))
      throw error
    }
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
