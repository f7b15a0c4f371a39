import { setTimeout as sleep } from 'node:timers/promises'
import { EmbeddedBlobService } from '@neve/castore-services/blob/embedded'
import { openEngines } from '@neve/castore-services/composition'
import { EmbeddedDirectoryService } from '@neve/castore-services/directory/embedded'
import { EmbeddedPathInfoService, type Store } from '@neve/store-pathinfo'

type Engine = EmbeddedBlobService['engine']

/** How often it is looked whether somebody waits for the lease, in milliseconds. */
const LOOK_EVERY = 1000

/**
 * Lets garbage go while a server has its store open. What clients were told is in the store they may go by, so what was
 * found to be garbage since is called absent at once, and let go of when the calls that were under way have ended and the
 * time is over that clients are given.
 */
export class LeaseRenewal {
  readonly #grace: number
  readonly #onError: (error: unknown) => void
  readonly #calls = new Set<Promise<unknown>>()
  readonly #stop = new AbortController()
  readonly #timers: NodeJS.Timeout[] = []
  readonly #renewing = new Map<Engine, Promise<void>>()

  /**
   * @param grace in milliseconds
   * @param onError gets what keeps a lease from being renewed
   */
  constructor(grace: number, onError: (error: unknown) => void) {
    this.#grace = grace
    this.#onError = onError
  }

  /**
   * Looks after the embedded stores that a store is made of: those that it lies in, and all that compositions have open in
   * this process.
   */
  add(store: Store): void {
    const own = enginesOf(store)
    const look = (): void => {
      for (const engine of new Set([...own, ...openEngines()])) {
        if (engine.readOnly || this.#renewing.has(engine)) continue
        const renewing = this.#renew(engine).finally(() => this.#renewing.delete(engine))
        this.#renewing.set(engine, renewing)
      }
    }
    this.#timers.push(setInterval(look, LOOK_EVERY).unref())
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

  async #renew(engine: Engine): Promise<void> {
    const { signal } = this.#stop
    const begun = (): Promise<unknown>[] => [...this.#calls].map((call) => call.catch(() => undefined))
    try {
      await engine.renewLease(() =>
        Promise.all([sleep(this.#grace, undefined, { signal, ref: false }), ...begun()]),
      )
    } catch (error) {
      if (!signal.aborted) this.#onError(error)
    }
  }

  /** Renews no more. To be called before the stores are closed. */
  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer)
    this.#stop.abort()
    await Promise.all(this.#renewing.values())
  }
}

function enginesOf({ blobs, directories, pathInfos }: Store): readonly Engine[] {
  const engines: Engine[] = []
  if (blobs instanceof EmbeddedBlobService) engines.push(blobs.engine)
  if (directories instanceof EmbeddedDirectoryService) engines.push(directories.engine)
  if (pathInfos instanceof EmbeddedPathInfoService) engines.push(pathInfos.engine)
  return engines
}
