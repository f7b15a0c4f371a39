import type { ContentThreads } from '@neve/castore-services/blob/content-threads'

/**
 * How many slots one rendering holds: one in any case, more for what is loaded ahead as long as there is room for all
 * renderings together. So clients that do not read hold little each, however many they are, and nobody waits for them.
 */
export class SlotsAhead {
  readonly #threads: ContentThreads
  readonly #most: number
  readonly #waiters: (() => void)[] = []
  #used = 0

  /** @param most slots of this rendering */
  constructor(threads: ContentThreads, most: number) {
    this.#threads = threads
    this.#most = most
  }

  /**
   * Waits until this rendering may have one more: at the latest when it has given its last one back.
   *
   * @param signal of a rendering that is going to end
   */
  async take(signal: AbortSignal): Promise<void> {
    if (this.#reserve()) return
    signal.throwIfAborted()
    await new Promise<void>((resolve, reject) => {
      const stop = () => {
        this.#waiters.splice(this.#waiters.indexOf(waiter), 1)
        reject(signal.reason)
      }
      const waiter = () => {
        signal.removeEventListener('abort', stop)
        resolve()
      }
      this.#waiters.push(waiter)
      signal.addEventListener('abort', stop, { once: true })
    })
  }

  give(): void {
    const waiter = this.#waiters.shift()
    if (waiter === undefined) {
      this.#used--
      if (this.#used > 0) this.#threads.aheadLeft++
      return
    }
    waiter()
    // Others may have ended meanwhile.
    while (this.#waiters.length > 0 && this.#reserve()) this.#waiters.shift()!()
  }

  #reserve(): boolean {
    if (this.#used > 0) {
      if (this.#used === this.#most || this.#threads.aheadLeft === 0) return false
      this.#threads.aheadLeft--
    }
    this.#used++
    return true
  }
}
