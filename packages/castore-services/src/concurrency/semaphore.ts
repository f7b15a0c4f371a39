import type { CallOptions } from '../call-options.js'
import { CastoreError } from '../errors.js'

/** What {@link ByteSemaphore.acquire} gives: hold it while the bytes are held. */
export interface BytePermit extends Disposable {
  /** How many bytes it stands for. */
  readonly amount: number
  /** Gives the bytes back. Calling it again does nothing. */
  release(): void
}

interface Waiter {
  readonly amount: number
  grant(): void
}

/**
 * Bounds how many bytes are held at once. First come, first served: a large request is not overtaken by small ones
 * behind it, so it cannot starve (spec 06 section 10).
 */
export class ByteSemaphore {
  #free: number
  // A Set keeps its order of insertion, and a waiter that gives up leaves it without a scan.
  readonly #waiting = new Set<Waiter>()

  /** @param capacity bytes that may be held at once, a positive integer */
  constructor(readonly capacity: number) {
    if (!Number.isSafeInteger(capacity) || capacity < 1) {
      throw new CastoreError(
        'invalid-input',
        `invalid capacity: expected a positive integer, got ${capacity}`,
      )
    }
    this.#free = capacity
  }

  /** Bytes that could be acquired now. */
  get free(): number {
    return this.#free
  }

  /** Requests that wait. */
  get waiting(): number {
    return this.#waiting.size
  }

  /**
   * Waits until `amount` bytes are free, and takes them.
   *
   * @param amount a non-negative integer. Nothing is had at once. More than the capacity waits for all of it.
   * @throws the signal's reason when it fires while waiting; the request then loses its place
   */
  acquire(amount: number, { signal }: CallOptions = {}): Promise<BytePermit> {
    if (!Number.isSafeInteger(amount) || amount < 0) {
      const message = `invalid amount: expected a non-negative integer, got ${amount}`
      return Promise.reject(new CastoreError('invalid-input', message))
    }
    if (signal?.aborted) return Promise.reject(signal.reason)
    const bytes = Math.min(amount, this.capacity)
    if (bytes === 0 || (this.#waiting.size === 0 && bytes <= this.#free)) {
      return Promise.resolve(this.#take(bytes))
    }
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        amount: bytes,
        grant: () => {
          signal?.removeEventListener('abort', onAbort)
          resolve(this.#take(bytes))
        },
      }
      const onAbort = () => {
        this.#waiting.delete(waiter)
        reject(signal?.reason)
        this.#serve()
      }
      signal?.addEventListener('abort', onAbort, { once: true })
      this.#waiting.add(waiter)
    })
  }

  #take(amount: number): BytePermit {
    this.#free -= amount
    let held = true
    const release = () => {
      if (!held) return
      held = false
      this.#free += amount
      this.#serve()
    }
    return { amount, release, [Symbol.dispose]: release }
  }

  #serve(): void {
    for (const waiter of this.#waiting) {
      if (waiter.amount > this.#free) return
      this.#waiting.delete(waiter)
      waiter.grant()
    }
  }
}
