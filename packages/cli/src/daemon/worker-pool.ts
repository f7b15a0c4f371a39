import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import type { Logger } from '../observe/logger.js'
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
      child.once('message', (_message: FromWorker) => {
        serves = true
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

/** A worker that is about to end need not hear it. */
function tell(child: ChildProcess, message: ToWorker): void {
  if (child.connected) child.send(message, () => {})
}
