import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import type { MetricsSnapshot } from '../http/http-metrics.js'
import { describe } from '../messages.js'
import type { Logger } from '../observe/logger.js'
import type { GcState } from './gc-schedule.js'
import type { ScrubState } from './scrub.js'
import type { ConnectionOrigin, StoreServer } from './store-server.js'
import type { FromWorker, ToWorker, WorkerInit } from './worker-messages.js'

/** A connection that no worker has yet. */
interface Connection {
  readonly socket: Socket
  readonly via: ConnectionOrigin
}

interface Worker {
  readonly process: ChildProcess
  /** Settles when it takes connections; rejects when it ended before. */
  readonly ready: Promise<void>
  /** Connections of which it is not known that it has them. */
  readonly unsent: Set<Connection>
}

/** A worker that cannot even start has said why on standard error. */
export class WorkerStartError extends Error {
  override readonly name = 'WorkerStartError'
  readonly code = 'worker'

  constructor(
    /** What it exited with. */
    readonly exitCode: 1 | 2,
  ) {
    super('a worker could not start')
  }
}

/** How many connections wait for a worker when there is none. */
const MAX_WAITING = 1024
/** How long to wait before a worker is started again that did not come to serve, in milliseconds. */
const RESTART_DELAY = 1000
/** How long a worker may take to say what it has counted, in milliseconds: it may be in the middle of something. */
const MEASURING_TIME = 5000
/** What a worker gets beyond the grace to close its store, in milliseconds. */
const CLOSING_TIME = 5000

/**
 * Processes that serve the same store (DESIGN decision 21). This one accepts connections and hands them out in turn: a
 * client has few and keeps them, so that whoever is idle in that moment says nothing about later. A worker that ends
 * is replaced.
 */
export class WorkerPool implements StoreServer {
  readonly #init: WorkerInit
  readonly #log: Logger
  readonly #workers = new Set<Worker>()
  readonly #restarts = new Set<NodeJS.Timeout>()
  /** Those that take connections, the next one first. */
  readonly #serving: Worker[] = []
  readonly #waiting: Connection[] = []
  #scrub: ScrubState | undefined
  #gc: GcState | undefined
  #round = 0
  #measuring: Promise<readonly MetricsSnapshot[] | undefined> | undefined
  #started = false
  #closing: Promise<void> | undefined

  private constructor(init: WorkerInit, log: Logger) {
    this.#init = init
    this.#log = log
  }

  /**
   * Starts the workers, and waits until all serve.
   *
   * @throws WorkerStartError when one cannot
   */
  static async start(log: Logger, init: WorkerInit): Promise<WorkerPool> {
    const pool = new WorkerPool(init, log)
    try {
      // The first one makes the store where there is none, and tells alone what is wrong with it.
      await pool.#start().ready
      const others = Array.from({ length: init.options.workers - 1 }, () => pool.#start().ready)
      await Promise.all(others)
      pool.#started = true
      return pool
    } catch (error) {
      await pool.close(0)
      throw error
    }
  }

  /** Hands over a connection of which nothing has been read. */
  accept(socket: Socket, via: ConnectionOrigin): void {
    socket.on('error', () => {})
    this.#handOver({ socket, via })
  }

  async reload(): Promise<void> {
    for (const { process } of this.#workers) tell(process, { reload: true })
  }

  observeScrub(scrub: ScrubState): void {
    this.#scrub = scrub
    for (const { process } of this.#workers) tell(process, { scrub })
  }

  observeGc(gc: GcState): void {
    this.#gc = gc
    for (const { process } of this.#workers) tell(process, { gc })
  }

  close(grace: number): Promise<void> {
    this.#closing ??= this.#close(grace)
    return this.#closing
  }

  async #close(grace: number): Promise<void> {
    for (const timer of this.#restarts) clearTimeout(timer)
    for (const { socket } of this.#waiting.splice(0)) socket.destroy()
    await Promise.all(
      [...this.#workers].map(async ({ process }) => {
        const ended = once(process, 'exit')
        tell(process, { stop: grace })
        const timer = setTimeout(() => process.kill('SIGKILL'), grace + CLOSING_TIME)
        await ended
        clearTimeout(timer)
      }),
    )
  }

  #start(): Worker {
    const child = fork(new URL('./daemon-worker.js', import.meta.url), [], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
    let serves = false
    const ready = new Promise<void>((resolve, reject) => {
      child.on('message', (message: FromWorker) => {
        if ('measureAll' in message) void this.#measure(child)
        if (!('ready' in message)) return
        serves = true
        if (this.#scrub !== undefined) tell(child, { scrub: this.#scrub })
        if (this.#gc !== undefined) tell(child, { gc: this.#gc })
        this.#serving.push(worker)
        for (const connection of this.#waiting.splice(0)) this.#handOver(connection)
        resolve()
      })
      child.once('exit', (code) => reject(new WorkerStartError(code === 2 ? 2 : 1)))
    })
    // Who waits for it hears of it; who does not starts it again.
    ready.catch(() => {})
    const worker: Worker = { process: child, ready, unsent: new Set() }
    this.#workers.add(worker)
    child.on('error', () => {})
    child.once('exit', (code, signal) => this.#ended(worker, signal ?? `status ${code}`, serves))
    tell(child, { start: this.#init })
    return worker
  }

  #ended(worker: Worker, how: string, served: boolean): void {
    this.#workers.delete(worker)
    this.#retire(worker)
    for (const connection of worker.unsent) this.#handOver(connection)
    worker.unsent.clear()
    if (!this.#started || this.#closing !== undefined) return
    this.#log.warn(`worker ${worker.process.pid} ended with ${how}: starting another`)
    const timer = setTimeout(
      () => {
        this.#restarts.delete(timer)
        this.#start()
      },
      served ? 0 : RESTART_DELAY,
    )
    this.#restarts.add(timer)
  }

  /** Tells a worker what all have counted. Whoever asks meanwhile gets the same. */
  async #measure(asking: ChildProcess): Promise<void> {
    this.#measuring ??= this.#measureAll(++this.#round).finally(() => {
      this.#measuring = undefined
    })
    tell(asking, { measured: await this.#measuring })
  }

  async #measureAll(round: number): Promise<readonly MetricsSnapshot[] | undefined> {
    try {
      const all = await Promise.all(this.#serving.map(({ process }) => measured(process, round)))
      return all.filter((snapshot) => snapshot !== undefined)
    } catch (error) {
      this.#log.warn(describe(error))
      return undefined
    }
  }

  #retire(worker: Worker): void {
    const at = this.#serving.indexOf(worker)
    if (at >= 0) this.#serving.splice(at, 1)
  }

  #handOver(connection: Connection): void {
    const { socket, via } = connection
    const worker = this.#serving.shift()
    if (this.#closing !== undefined || (worker === undefined && this.#waiting.length >= MAX_WAITING)) {
      socket.destroy()
    } else if (worker === undefined) {
      this.#waiting.push(connection)
    } else {
      this.#serving.push(worker)
      worker.unsent.add(connection)
      const message: ToWorker = { connection: via }
      worker.process.send(message, socket, { keepOpen: true }, (error) => {
        if (!worker.unsent.delete(connection)) return
        if (error === null) {
          socket.destroy()
          return
        }
        // It is about to end. Another one takes what it did not get.
        this.#retire(worker)
        this.#handOver(connection)
      })
    }
  }
}

/**
 * What a worker has counted; undefined of one that ends before it has said so.
 *
 * @throws Error where it does not answer in time
 */
function measured(child: ChildProcess, round: number): Promise<MetricsSnapshot | undefined> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      over()
      reject(new Error(`worker ${child.pid} has not said in ${MEASURING_TIME} ms what it has counted`))
    }, MEASURING_TIME)
    const over = (): void => {
      clearTimeout(timer)
      child.off('message', onMessage).off('exit', onExit)
    }
    const onMessage = (message: FromWorker): void => {
      if (!('measured' in message) || message.round !== round) return
      over()
      resolve(message.measured)
    }
    const onExit = (): void => {
      over()
      resolve(undefined)
    }
    child.on('message', onMessage).once('exit', onExit)
    tell(child, { measure: round })
  })
}

/** A worker that is about to end need not hear it. */
function tell(child: ChildProcess, message: ToWorker): void {
  if (child.connected) child.send(message, () => {})
}
