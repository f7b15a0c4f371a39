import { setTimeout as sleep } from 'node:timers/promises'
import type { EmbeddedStore, StoredKey } from '@neve/embedded-store'

/** How often it is looked whether somebody waits for the lease, in milliseconds. */
const LOOK_EVERY = 1000
/** How often taking back what is garbage is tried while garbage is swept, and for how long, in milliseconds. */
const RETRY = 50
const PATIENCE = 30_000

/**
 * Lets garbage go while a store is mounted: what was found to be garbage since is let go of after a while, but for what is
 * open then, or looked up meanwhile. That is taken back from the garbage, with all that it refers to.
 */
export class MountLease {
  readonly #engine: EmbeddedStore
  readonly #grace: number
  readonly #inUse: () => readonly StoredKey[] | undefined
  readonly #onError: (error: unknown) => void
  readonly #stop = new AbortController()
  readonly #timer: NodeJS.Timeout
  #renewing: Promise<void> | undefined

  /**
   * @param engine that has the lease
   * @param grace how long it is waited before garbage is let go of, in milliseconds
   * @param inUse what is open; undefined where that is not known: then nothing is let go of
   */
  constructor(
    engine: EmbeddedStore,
    grace: number,
    inUse: () => readonly StoredKey[] | undefined,
    onError: (error: unknown) => void,
  ) {
    this.#engine = engine
    this.#grace = grace
    this.#inUse = inUse
    this.#onError = onError
    this.#timer = setInterval(() => this.#look(), LOOK_EVERY).unref()
  }

  /** Takes a path info back that is looked up. */
  use(key: Uint8Array): void {
    this.#engine.uses.mark(key)
    if (this.#engine.readOnly) return
    this.#takeBack([{ what: 'pathInfos', key }]).catch((error: unknown) => this.#tell(error))
  }

  /** Renews no more. To be called before the engine is closed. */
  async close(): Promise<void> {
    clearInterval(this.#timer)
    this.#stop.abort()
    await this.#renewing
  }

  #look(): void {
    if (this.#engine.readOnly || this.#renewing !== undefined || this.#inUse() === undefined) return
    this.#renewing = this.#renew()
      .catch((error: unknown) => this.#tell(error))
      .finally(() => {
        this.#renewing = undefined
      })
  }

  async #renew(): Promise<void> {
    const { signal } = this.#stop
    const renewed = await this.#engine.renewLease(async () => {
      // What was used within the last hour is found to be so when garbage is marked again.
      await this.#engine.uses.flush()
      await this.#takeBackOpen()
      await sleep(this.#grace, undefined, { signal, ref: false })
      await this.#takeBackOpen()
    })
    // What was opened in the last moment.
    if (renewed) await this.#takeBackOpen()
  }

  async #takeBackOpen(): Promise<void> {
    const keys = this.#inUse()
    if (keys === undefined) throw new Error('garbage stays while more is open than can be counted')
    await this.#takeBack(keys)
  }

  async #takeBack(keys: readonly StoredKey[]): Promise<void> {
    this.#engine.refresh()
    const condemned = keys.filter(({ what, key }) => this.#engine.isCondemned(what, key))
    if (condemned.length === 0) return
    for (const until = performance.now() + PATIENCE; !(await this.#engine.lift(condemned)); ) {
      if (performance.now() > until) throw new Error('garbage is swept that is open: it may be missing')
      await sleep(RETRY, undefined, { signal: this.#stop.signal, ref: false })
    }
  }

  #tell(error: unknown): void {
    if (!this.#stop.signal.aborted) this.#onError(error)
  }
}
