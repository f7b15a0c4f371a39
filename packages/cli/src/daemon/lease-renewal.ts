import { setTimeout as sleep } from 'node:timers/promises'
import { EmbeddedBlobService } from '@neve/castore-services/blob/embedded'
import type { Store } from '@neve/store-pathinfo'

/** How often it is looked whether somebody waits for the lease, in milliseconds. */
const LOOK_EVERY = 1000

/**
 * Lets garbage go while a server has its store open. What clients were told is in the store they may go by, so what was
 * found to be garbage since is called absent at once, and let go of when the calls that were under way have ended and the
 * time is over that clients are given.
 */
export class LeaseRenewal {
  readonly #engine: EmbeddedBlobService['engine']
  readonly #grace: number
  readonly #onError: (error: unknown) => void
  readonly #calls = new Set<Promise<unknown>>()
  readonly #stop = new AbortController()
  readonly #timer: NodeJS.Timeout
  #renewing: Promise<void> | undefined

  private constructor(
    engine: EmbeddedBlobService['engine'],
    grace: number,
    onError: (error: unknown) => void,
  ) {
    this.#engine = engine
    this.#grace = grace
    this.#onError = onError
    this.#timer = setInterval(() => {
      this.#renewing ??= this.#renew().finally(() => {
        this.#renewing = undefined
      })
    }, LOOK_EVERY).unref()
  }

  /**
   * @param grace in milliseconds
   * @param onError gets what keeps the lease from being renewed
   * @returns undefined for a store of which nothing is collected
   */
  static of(store: Store, grace: number, onError: (error: unknown) => void): LeaseRenewal | undefined {
    const engine = store.blobs instanceof EmbeddedBlobService ? store.blobs.engine : undefined
    return engine === undefined || engine.readOnly ? undefined : new LeaseRenewal(engine, grace, onError)
  }

  /** Has a call served, and gives what it gives. */
  async during<T>(serve: () => Promise<T>): Promise<T> {
    const call = serve()
    this.#calls.add(call)
    try {
      return await call
    } finally {
      this.#calls.delete(call)
    }
  }

  async #renew(): Promise<void> {
    const { signal } = this.#stop
    try {
      await this.#engine.renewLease(() =>
        Promise.all([sleep(this.#grace, undefined, { signal, ref: false }), ...this.#begun()]),
      )
    } catch (error) {
      if (!signal.aborted) this.#onError(error)
    }
  }

  /** The calls that are under way, each settled in some way. */
  #begun(): Promise<unknown>[] {
    return [...this.#calls].map((call) => call.catch(() => undefined))
  }

  /** Renews no more. To be called before the store is closed. */
  async close(): Promise<void> {
    clearInterval(this.#timer)
    this.#stop.abort()
    await this.#renewing
  }
}
