import type { MaybePromise } from '../maybe-promise.js'
import type { RootEntry } from '../root-nodes.js'

/**
 * One listing of the root that is under way: what was listed is kept, so that it can be gone on with from any place, and
 * what comes is asked for when it is needed.
 */
export class RootListing {
  readonly #entries: RootEntry[] = []
  readonly #start: () => Iterable<RootEntry> | AsyncIterable<RootEntry>
  #source: Iterator<RootEntry> | AsyncIterator<RootEntry> | undefined
  #pulling: Promise<void> | undefined
  #ended = false
  #failure: { readonly error: unknown } | undefined

  constructor(start: () => Iterable<RootEntry> | AsyncIterable<RootEntry>) {
    this.#start = start
  }

  /**
   * The entry at a place, from 0.
   *
   * @returns undefined behind the last
   * @throws what the provider threw, for every place behind what it had listed before
   */
  at(index: number): MaybePromise<RootEntry | undefined> {
    while (index >= this.#entries.length) {
      if (this.#failure !== undefined) throw this.#failure.error
      if (this.#ended) return undefined
      const waiting = this.#pulling ?? this.#pull()
      if (waiting !== undefined) return waiting.then(() => this.at(index))
    }
    return this.#entries[index]
  }

  /** Ends the listing. */
  close(): void {
    this.#ended = true
    const source = this.#source
    this.#source = undefined
    const closing = source?.return?.()
    if (closing instanceof Promise) closing.catch(() => {})
  }

  #pull(): Promise<void> | undefined {
    try {
      this.#source ??= iterate(this.#start())
      const next = this.#source.next()
      if (!(next instanceof Promise)) {
        this.#take(next)
        return undefined
      }
      this.#pulling = next.then(
        (result) => this.#take(result),
        (error: unknown) => this.#fail(error),
      )
      return this.#pulling
    } catch (error) {
      this.#fail(error)
      return undefined
    }
  }

  #take(result: IteratorResult<RootEntry>): void {
    this.#pulling = undefined
    if (this.#ended) return
    if (result.done === true) this.#ended = true
    else this.#entries.push(result.value)
  }

  #fail(error: unknown): void {
    this.#pulling = undefined
    this.#failure = { error }
  }
}

function iterate(
  entries: Iterable<RootEntry> | AsyncIterable<RootEntry>,
): Iterator<RootEntry> | AsyncIterator<RootEntry> {
  return Symbol.asyncIterator in entries
    ? entries[Symbol.asyncIterator]()
    : (entries as Iterable<RootEntry>)[Symbol.iterator]()
}
