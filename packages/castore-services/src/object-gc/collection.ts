import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { CallOptions } from '../call-options.js'
import { mapOrdered } from '../concurrency/map-ordered.js'
import { CastoreError } from '../errors.js'
import type { ObjectMeta, ObjectStore } from '../object-store/object-store.js'
import {
  encodeNotice,
  NOTICE_KEY,
  NOTICE_LIFE,
  noticeChanges,
  readNotice,
} from '../object-store/sweep-notice.js'

/** Between two notices while nothing is removed, in milliseconds. */
const BEAT = 20_000
/** Objects that are removed in one step. */
const STEP = 256

/** What a sweep does about objects that are kept. */
export interface Keeping {
  /** Told of one that was written since it was listed, before anything else of its step is removed. */
  rescue(meta: ObjectMeta): Promise<unknown>
  /** Whether an object stays because of one that was rescued. Default: none does. */
  stays?(meta: ObjectMeta): boolean
}

/** What one step of a sweep did. */
export interface SweptStep {
  readonly removed: readonly ObjectMeta[]
  /** Written again since they were listed: they stay, with what they refer to. */
  readonly rescued: readonly ObjectMeta[]
}

/**
 * The right to remove objects from a store, which one collector has at a time. It tells everybody what it removes before
 * it looks, the last time, whether it is still old (`SweepNotice`): so whoever writes an object again can know that it
 * stays.
 */
export class Collection implements AsyncDisposable {
  readonly #store: ObjectStore
  readonly #id = randomUUID()
  readonly #beat = new AbortController()
  #text: string
  #step = 0
  #keys: readonly string[] = []
  /** Notices are written one after the other. */
  #turn: Promise<unknown> = Promise.resolve()
  #failure: unknown
  /** When it began, by the store's clock, in milliseconds since 1970. */
  #began = 0

  private constructor(store: ObjectStore, text: string) {
    this.#store = store
    this.#text = text
  }

  /**
   * @param dead after how long another one that does not stir counts as killed, in milliseconds. Default: two minutes
   * @throws CollectionBusyError while another one is at work; CastoreError `invalid-input` for a store without times
   */
  static async begin(store: ObjectStore, options: CallOptions, dead?: number): Promise<Collection> {
    const before = await readNotice(store, options)
    if (!before.isOver && (await noticeChanges(store, before, options, dead)))
      throw new CollectionBusyError(store)
    const collection = new Collection(store, before.text)
    await collection.#tell([], options)
    const began = (await store.head(NOTICE_KEY, options))?.modified
    if (began === undefined) {
      const detail = `garbage cannot be collected in ${store.name}: it does not tell when objects were written`
      throw new CastoreError('invalid-input', detail)
    }
    collection.#began = began
    void collection.#stir()
    return collection
  }

  get began(): number {
    return this.#began
  }

  /**
   * Removes objects that are older than `cutoff` when they are looked at once more.
   *
   * @param cutoff in milliseconds since 1970, by the store's clock
   */
  async *sweep(
    objects: AsyncIterable<ObjectMeta>,
    cutoff: number,
    keeping: Keeping,
    options: CallOptions,
  ): AsyncGenerator<SweptStep, void, undefined> {
    let some: ObjectMeta[] = []
    for await (const object of objects) {
      some.push(object)
      if (some.length < STEP) continue
      yield await this.#sweepStep(some, cutoff, keeping, options)
      some = []
    }
    if (some.length > 0) yield await this.#sweepStep(some, cutoff, keeping, options)
  }

  async #sweepStep(
    objects: readonly ObjectMeta[],
    cutoff: number,
    keeping: Keeping,
    options: CallOptions,
  ): Promise<SweptStep> {
    for (;;) {
      const told = performance.now()
      await this.#tell(
        objects.map(({ key }) => key),
        options,
      )
      const old: ObjectMeta[] = []
      const rescued: ObjectMeta[] = []
      const look = ({ key }: ObjectMeta, signal: AbortSignal) => this.#store.head(key, { signal })
      for await (const found of mapOrdered(objects, this.#concurrency, look, options)) {
        if (found === undefined) continue
        if (isOld(found, cutoff)) old.push(found)
        else rescued.push(found)
      }
      for (const meta of rescued) await keeping.rescue(meta)
      const removed = old.filter((meta) => keeping.stays?.(meta) !== true)
      options.signal?.throwIfAborted()
      if (this.#failure !== undefined) throw this.#failure
      // Looking took so long that somebody may believe this collector dead: once more.
      if (performance.now() - told > NOTICE_LIFE) continue
      try {
        await this.#delete(removed.map(({ key }) => key))
      } catch (error) {
        // Some may be under way still: the notice stays, until everybody believes this collector dead.
        this.#failure ??= error
        throw error
      }
      await this.#tell([], options)
      return { removed, rescued }
    }
  }

  async #delete(keys: readonly string[]): Promise<void> {
    if (keys.length === 0) return
    const signal = AbortSignal.timeout(NOTICE_LIFE)
    if (this.#store.deleteAll !== undefined) {
      await this.#store.deleteAll(keys, { signal })
      return
    }
    const remove = (key: string, stop: AbortSignal): Promise<void> =>
      this.#store.delete(key, { signal: stop })
    for await (const _ of mapOrdered(keys, this.#concurrency, remove, { signal }));
  }

  get #concurrency(): number {
    return Math.min(this.#store.concurrency ?? 32, 64)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#beat.abort()
    await this.#turn.catch(() => {})
    if (this.#failure === undefined) await this.#write(`done ${this.#id} ${this.#step + 1}`, [], {})
  }

  async #stir(): Promise<void> {
    const { signal } = this.#beat
    for (;;) {
      await sleep(BEAT, undefined, { signal, ref: false }).catch(() => {})
      if (signal.aborted) return
      await this.#tell(this.#keys, {}).catch(() => {})
    }
  }

  #tell(keys: readonly string[], options: CallOptions): Promise<void> {
    this.#keys = keys
    const told = this.#turn
      .catch(() => {})
      .then(() => this.#write(`step ${this.#id} ${++this.#step}`, keys, options))
    // Then nothing is told at the end either: it is somebody else's turn.
    told.catch((error: unknown) => {
      this.#failure ??= error
    })
    this.#turn = told
    return told
  }

  async #write(step: string, keys: readonly string[], options: CallOptions): Promise<void> {
    const content = encodeNotice(step, keys)
    const { replace } = this.#store
    const before = Buffer.from(this.#text)
    if (this.#text === '') {
      if (!(await this.#store.putIfAbsent(NOTICE_KEY, content, options)))
        throw new CollectionBusyError(this.#store)
    } else if (replace === undefined) {
      await this.#store.put(NOTICE_KEY, content, options)
    } else if (!(await replace.call(this.#store, NOTICE_KEY, before, content, options))) {
      throw new CollectionBusyError(this.#store)
    }
    this.#text = content.toString()
  }
}

/** Whether an object was written before `cutoff`, in milliseconds since 1970. What has no time is not old. */
export function isOld({ modified }: ObjectMeta, cutoff: number): boolean {
  return modified !== undefined && modified < cutoff
}

/** Somebody else collects garbage in the store. */
export class CollectionBusyError extends CastoreError {
  override readonly name = 'CollectionBusyError'

  constructor(store: ObjectStore) {
    super('unavailable', `garbage is being collected in ${store.name} by somebody else`)
  }
}
