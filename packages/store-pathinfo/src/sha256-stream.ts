import { createHash } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'

/** What a thread is told: the next bytes of a stream, that its digest is wanted, or that nobody wants it any more. */
export type Sha256Message = { readonly id: number; readonly bytes: Uint8Array | 'digest' | 'discard' } | 'end'

/** What a thread answers: how many more bytes it has hashed, or the digest. */
export type Sha256Answer =
  | { readonly id: number; readonly hashed: number }
  | { readonly id: number; readonly digest: Uint8Array }

/** So much is hashed in the calling thread, if it is all: to hand it over and to wait takes as long. In bytes. */
const SMALL = 64 * 1024
/** How much of a stream may wait to be hashed, in bytes. */
const AHEAD = 4 * 1024 * 1024
const MAX_THREADS = 4
/** How long threads wait for the next stream, in milliseconds: they take some 50 to start. */
const LINGER = 5000

/**
 * The SHA-256 of a stream, found out in a thread beside whatever else is done with the bytes: a hash cannot be divided,
 * and takes longer than most that is done with them. Whoever is not going to ask for the digest has to discard it.
 */
export class Sha256Stream {
  #beginning: Uint8Array[] = []
  #length = 0
  #thread: Sha256Thread | undefined
  #id = 0
  #waiting = 0
  #room: { readonly resolve: () => void; readonly reject: (error: unknown) => void } | undefined
  #digest:
    | { readonly resolve: (digest: Uint8Array) => void; readonly reject: (error: unknown) => void }
    | undefined
  #failure: { readonly error: unknown } | undefined

  /**
   * Takes the next bytes, which are copied.
   *
   * @returns what to wait for before more is given; undefined where there is nothing to wait for
   */
  update(bytes: Uint8Array): Promise<void> | undefined {
    if (this.#thread === undefined) {
      this.#length += bytes.length
      if (this.#length <= SMALL) {
        this.#beginning.push(Uint8Array.prototype.slice.call(bytes))
        return undefined
      }
      this.#thread = Sha256Thread.join()
      this.#id = this.#thread.add(this)
      for (const early of this.#beginning.splice(0)) this.#send(early)
    }
    this.#send(bytes)
    if (this.#failure !== undefined) return Promise.reject(this.#failure.error)
    if (this.#waiting <= AHEAD) return undefined
    return new Promise((resolve, reject) => {
      this.#room = { resolve, reject }
    })
  }

  /** The digest of all that was given, 32 bytes. To be asked for once. */
  async digest(): Promise<Uint8Array> {
    const thread = this.#thread
    if (thread === undefined) {
      const hash = createHash('sha256')
      for (const bytes of this.#beginning) hash.update(bytes)
      return new Uint8Array(hash.digest())
    }
    try {
      return await new Promise<Uint8Array>((resolve, reject) => {
        this.#digest = { resolve, reject }
        if (this.#failure !== undefined) reject(this.#failure.error)
        else thread.tell({ id: this.#id, bytes: 'digest' })
      })
    } finally {
      this.#leave()
    }
  }

  /** Lets go of it. Does nothing after {@link digest}. */
  discard(): void {
    this.#thread?.tell({ id: this.#id, bytes: 'discard' })
    this.#leave()
  }

  /** @internal */
  hear(answer: Sha256Answer): void {
    if ('digest' in answer) this.#digest?.resolve(answer.digest)
    else {
      this.#waiting -= answer.hashed
      if (this.#waiting > AHEAD) return
      this.#room?.resolve()
      this.#room = undefined
    }
  }

  /** @internal */
  fail(error: unknown): void {
    this.#failure = { error }
    this.#room?.reject(error)
    this.#digest?.reject(error)
  }

  #send(bytes: Uint8Array): void {
    this.#waiting += bytes.length
    this.#thread?.tell({ id: this.#id, bytes })
  }

  #leave(): void {
    this.#thread?.remove(this.#id)
    this.#thread = undefined
    this.#beginning = []
  }
}

/** A thread that hashes any number of streams. */
class Sha256Thread {
  static readonly #running = new Set<Sha256Thread>()
  static #sequence = 0
  readonly #worker: Worker
  readonly #streams = new Map<number, Sha256Stream>()
  #lingering: NodeJS.Timeout | undefined

  private constructor() {
    this.#worker = new Worker(new URL(import.meta.resolve('@neve/store-pathinfo/sha256-thread')))
    this.#worker.on('message', (answer: Sha256Answer) => this.#streams.get(answer.id)?.hear(answer))
    this.#worker.on('error', (error) => this.#end(error))
    this.#worker.on('exit', () => this.#end(new Error('a thread that hashes has ended')))
    Sha256Thread.#running.add(this)
  }

  /** The one with the fewest streams, or a new one while there may be more. */
  static join(): Sha256Thread {
    const [least] = [...Sha256Thread.#running].sort((a, b) => a.#streams.size - b.#streams.size)
    const count = Math.min(availableParallelism(), MAX_THREADS)
    if (least !== undefined && (least.#streams.size === 0 || Sha256Thread.#running.size >= count))
      return least
    return new Sha256Thread()
  }

  /** @returns its number */
  add(stream: Sha256Stream): number {
    clearTimeout(this.#lingering)
    this.#worker.ref()
    const id = Sha256Thread.#sequence++
    this.#streams.set(id, stream)
    return id
  }

  /** Bytes are copied. */
  tell(message: Sha256Message): void {
    this.#worker.postMessage(message)
  }

  remove(id: number): void {
    if (!this.#streams.delete(id) || this.#streams.size > 0) return
    this.#worker.unref()
    this.#lingering = setTimeout(() => {
      Sha256Thread.#running.delete(this)
      this.tell('end')
    }, LINGER).unref()
  }

  #end(error: unknown): void {
    Sha256Thread.#running.delete(this)
    clearTimeout(this.#lingering)
    for (const stream of this.#streams.values()) stream.fail(error)
  }
}
