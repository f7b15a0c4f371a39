import type { CallOptions } from '../call-options.js'
import { LruMap } from '../concurrency/lru-map.js'
import { SingleFlight } from '../concurrency/single-flight.js'
import { CastoreError } from '../errors.js'
import { type GraceAge, readGrace } from './grace.js'
import type { ObjectStore } from './object-store.js'
import { noticeChanges, readNotice } from './sweep-notice.js'

/** How often to ask whether a store is collected, at most, in milliseconds. */
export const GRACE_POLL = 600_000
/** Objects that are known to stay for a while. */
const REMEMBERED = 16_384

/** Options of {@link ObjectHolds.hold}. */
export interface HoldOptions extends CallOptions {
  /**
   * What is in the object, of a caller who would write it if it were not there, having stored all that it refers to.
   * Default: one that is removed meanwhile does not come back, since what it refers to may be gone, too
   */
  readonly content?: Uint8Array | undefined
}

/**
 * Keeps objects that somebody counts on from being collected as garbage before what refers to them is stored: those
 * older than a quarter of the grace age are written again, so that for another half of it they are not old enough to be
 * removed. In a store that nobody collects it costs one request in ten minutes. See the README, "Collecting garbage".
 */
export class ObjectHolds {
  readonly #store: ObjectStore
  readonly #grace = new SingleFlight<'grace', GraceAge | undefined>()
  readonly #holding = new SingleFlight<string, boolean>()
  /** Until when an object need not be looked at again, in milliseconds since 1970. */
  readonly #held = new LruMap<string, number>(REMEMBERED)
  readonly #recordsUse: boolean
  #known: { readonly grace: number | undefined; readonly until: number } = { grace: undefined, until: 0 }

  /** @param recordsUse false for who only looks, and stores nothing: then nothing is held. Default: true */
  constructor(store: ObjectStore, { recordsUse = true }: { readonly recordsUse?: boolean | undefined } = {}) {
    this.#store = store
    this.#recordsUse = recordsUse
  }

  /**
   * Holds an object that was found to be there.
   *
   * @returns false when it is not there any more
   */
  async hold(key: string, { content, signal }: HoldOptions = {}): Promise<boolean> {
    if (!this.#recordsUse) return true
    if (Date.now() >= this.#known.until) await this.#askForGrace(signal)
    const { grace } = this.#known
    if (grace === undefined || (this.#held.get(key) ?? 0) > Date.now()) return true
    const look = (stop: AbortSignal) => this.#look(key, grace, { content, signal: stop })
    return this.#holding.run(key, look, { signal })
  }

  /** Writes over an object that is there, and is to stay from now on. */
  async put(key: string, content: Uint8Array, { signal }: CallOptions = {}): Promise<void> {
    if (Date.now() >= this.#known.until) await this.#askForGrace(signal)
    if (this.#known.grace === undefined) await this.#store.put(key, content, { signal })
    else await this.#renew(key, { content, signal })
  }

  async #askForGrace(signal: AbortSignal | undefined): Promise<void> {
    const found = await this.#grace.run('grace', (stop) => readGrace(this.#store, { signal: stop }), {
      signal,
    })
    const poll = Math.min(GRACE_POLL, (found?.grace ?? Number.POSITIVE_INFINITY) / 4)
    this.#known = { grace: found?.grace, until: Date.now() + poll }
  }

  async #look(key: string, grace: number, options: HoldOptions): Promise<boolean> {
    const { signal } = options
    const found = await this.#store.head(key, { signal })
    if (found === undefined) {
      this.#held.delete(key)
      return false
    }
    // What has no time is never collected.
    const { modified = Date.now() } = found
    if (Date.now() - modified <= grace / 4) {
      this.#held.set(key, modified + grace / 2)
      return true
    }
    const start = Date.now()
    try {
      if (!(await this.#renew(key, options))) return false
    } catch (error) {
      // Who may not write, or has no room to, stores nothing that counts on it either.
      if (!(error instanceof CastoreError) || error.code !== 'storage') throw error
    }
    this.#held.set(key, start + grace / 4)
    return true
  }

  /** Writes an object again, and makes sure that no collector, having seen it old, removes it after that. */
  async #renew(key: string, { content, signal }: HoldOptions): Promise<boolean> {
    for (;;) {
      const before = await readNotice(this.#store, { signal })
      if (before.covers(key) && (await noticeChanges(this.#store, before, { signal }))) continue
      const renewed = await this.#write(key, content, { signal })
      if (renewed === false) return false
      if (renewed === undefined) continue
      const after = await readNotice(this.#store, { signal })
      if (after.text === before.text) return true
    }
  }

  /** @returns whether there is such an object; undefined when it was another one in between */
  async #write(
    key: string,
    content: Uint8Array | undefined,
    options: CallOptions,
  ): Promise<boolean | undefined> {
    const store = this.#store
    if (content === undefined && store.touch !== undefined) return store.touch(key, options)
    const bytes = content ?? (await store.get(key, options))
    if (bytes === undefined) return false
    if (content === undefined && store.replace !== undefined) {
      return (await store.replace(key, bytes, bytes, options)) || undefined
    }
    await store.put(key, bytes, options)
    return true
  }
}
