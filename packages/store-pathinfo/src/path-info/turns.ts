import { abortable, type CallOptions } from '@neve/castore-services'

/** Lets work on the same key run one after another. */
export class Turns {
  readonly #last = new Map<string, Promise<unknown>>()

  /**
   * Runs the work when all that came before it for the key has settled.
   *
   * @throws what the work throws; the signal's reason, when it fires before the turn has come
   */
  async take<T>(key: string, { signal }: CallOptions, work: () => Promise<T>): Promise<T> {
    signal?.throwIfAborted()
    const before = this.#last.get(key)
    const turn = (async () => {
      await before?.catch(() => {})
      signal?.throwIfAborted()
      return work()
    })()
    this.#last.set(key, turn)
    const forget = () => {
      if (this.#last.get(key) === turn) this.#last.delete(key)
    }
    turn.then(forget, forget)
    return abortable(turn, signal)
  }
}
