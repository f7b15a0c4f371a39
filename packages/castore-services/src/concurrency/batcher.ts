import { abortable } from './abortable.js'
import { sharedController } from './shared-controller.js'

/** How {@link Batcher} works on items. */
export interface BatcherInit<Item, Result> {
  /** The most items of a batch. */
  readonly maxItems: number
  /** The most bytes of a batch; a single item may have more. */
  readonly maxBytes: number
  /** Works on an item alone: what came when there was nothing to wait for. */
  single(item: Item, signal: AbortSignal | undefined): Promise<Result>
  /**
   * Works on several. The signal fires when nobody wants any of the results any more.
   *
   * @returns what settles each of the items, in their order
   */
  batch(items: readonly Item[], signal: AbortSignal): Promise<readonly (Result | Promise<Result>)[]>
}

interface Waiting<Item, Result> {
  readonly item: Item
  readonly bytes: number
  readonly signal: AbortSignal | undefined
  readonly resolve: (result: Result | Promise<Result>) => void
  readonly reject: (reason: unknown) => void
}

/** So many batches are under way at once: one is made and one is read while the other side works on others. */
const MAX_RUNNING = 4

/**
 * Joins work that is asked for while other work is under way: the first item goes alone and at once, and what comes
 * meanwhile goes together. So nobody waits for company, and a crowd costs few calls.
 */
export class Batcher<Item, Result> {
  readonly #init: BatcherInit<Item, Result>
  #waiting: Waiting<Item, Result>[] = []
  #running = 0
  #scheduled = false

  constructor(init: BatcherInit<Item, Result>) {
    this.#init = init
  }

  /**
   * @param bytes what the item counts against `maxBytes`
   * @throws the signal's reason, or what the work failed with
   */
  async add(item: Item, bytes: number, signal: AbortSignal | undefined): Promise<Result> {
    signal?.throwIfAborted()
    if (this.#running === 0 && this.#waiting.length === 0) {
      return await this.#run(() => this.#init.single(item, signal))
    }
    const result = new Promise<Result>((resolve, reject) => {
      this.#waiting.push({ item, bytes, signal, resolve, reject })
    })
    this.#schedule()
    return await abortable(result, signal)
  }

  // Not at once: who waits for several answers asks for the next things when all of them have come.
  #schedule(): void {
    if (this.#scheduled || this.#waiting.length === 0 || this.#running >= MAX_RUNNING) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      while (this.#waiting.length > 0 && this.#running < MAX_RUNNING) void this.#start(this.#take())
    })
  }

  #take(): Waiting<Item, Result>[] {
    let bytes = 0
    let count = 0
    for (const waiting of this.#waiting) {
      bytes += waiting.bytes
      if (count > 0 && (bytes > this.#init.maxBytes || count === this.#init.maxItems)) break
      count += 1
    }
    return this.#waiting.splice(0, count)
  }

  async #start(taken: readonly Waiting<Item, Result>[]): Promise<void> {
    const batch = taken.filter(({ signal }) => signal?.aborted !== true)
    const only = batch[0]
    if (only === undefined) return
    using wanted = new Wanted(batch.map(({ signal }) => signal))
    try {
      if (batch.length === 1) {
        only.resolve(await this.#run(() => this.#init.single(only.item, only.signal)))
        return
      }
      const items = batch.map(({ item }) => item)
      const results = await this.#run(() => this.#init.batch(items, wanted.signal))
      for (const [index, { resolve }] of batch.entries()) resolve(results[index]!)
    } catch (error) {
      for (const { reject } of batch) reject(error)
    }
  }

  async #run<T>(work: () => Promise<T>): Promise<T> {
    this.#running += 1
    try {
      return await work()
    } finally {
      this.#running -= 1
      this.#schedule()
    }
  }
}

/** Fires when all of several signals have: as long as one has not, somebody waits. */
class Wanted implements Disposable {
  readonly #controller = sharedController()
  readonly #listening = new Map<AbortSignal, () => void>()

  constructor(signals: readonly (AbortSignal | undefined)[]) {
    // One without a signal waits to the end.
    if (signals.some((signal) => signal === undefined)) return
    for (const signal of new Set(signals as readonly AbortSignal[])) {
      const onAbort = (): void => {
        this.#listening.delete(signal)
        if (this.#listening.size === 0) this.#controller.abort(signal.reason)
      }
      this.#listening.set(signal, onAbort)
      signal.addEventListener('abort', onAbort, { once: true })
    }
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  [Symbol.dispose](): void {
    for (const [signal, onAbort] of this.#listening) signal.removeEventListener('abort', onAbort)
  }
}
