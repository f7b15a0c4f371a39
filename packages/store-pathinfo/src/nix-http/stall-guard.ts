import { CastoreError } from '@neve/castore-services'

/** The least that has to come, in bytes a second. */
const LEAST_RATE = 1024

/**
 * Watches a transfer: ends it when nothing, or next to nothing, comes for too long while somebody waits for it. How long
 * the one who waits takes with what came does not count.
 */
export class StallGuard implements Disposable {
  readonly #what: string
  readonly #window: number
  readonly #controller = new AbortController()
  readonly #caller: AbortSignal | undefined
  #left: number
  #bytes = 0

  /** @param window milliseconds in which something has to come */
  constructor(what: string, window: number, caller: AbortSignal | undefined) {
    this.#what = what
    this.#window = window
    this.#left = window
    this.#caller = caller
    if (caller?.aborted) this.#onAbort()
    else caller?.addEventListener('abort', this.#onAbort, { once: true })
  }

  /** For the transfer: fires when it is to end. */
  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** That so many bytes came. */
  received(bytes: number): void {
    this.#bytes += bytes
  }

  /** Waits, no longer than the transfer may stand still. */
  async wait<T>(step: Promise<T>): Promise<T> {
    let started = performance.now()
    let timer: NodeJS.Timeout
    const expire = () => {
      if (this.#bytes < Math.max(1, (this.#window / 1000) * LEAST_RATE)) {
        const text = `${this.#what}: got ${this.#bytes} bytes in ${this.#window} ms`
        this.#controller.abort(new CastoreError('unavailable', text))
        return
      }
      this.#bytes = 0
      this.#left = this.#window
      started = performance.now()
      timer = setTimeout(expire, this.#window)
    }
    timer = setTimeout(expire, this.#left)
    try {
      return await step
    } catch (error) {
      this.signal.throwIfAborted()
      throw error
    } finally {
      clearTimeout(timer)
      this.#left = Math.max(0, this.#left - (performance.now() - started))
    }
  }

  [Symbol.dispose](): void {
    this.#caller?.removeEventListener('abort', this.#onAbort)
    this.#controller.abort()
  }

  readonly #onAbort = (): void => this.#controller.abort(this.#caller?.reason)
}
