/** Asks a backend for something cheap. It is healthy when that settles in time, whatever the answer. */
export type Probe = (signal: AbortSignal) => Promise<unknown>

/** How often backends are asked, and for how long. */
export interface BackendHealthOptions {
  /** How long an answer holds, in milliseconds. Default: 1000. */
  readonly maxAge?: number | undefined
  /** How long a backend may take, in milliseconds. Default: 2000. */
  readonly timeout?: number | undefined
  /** Told when a backend fails after it was well, and with undefined when it is well again. */
  readonly onChange?: ((backend: string, error: unknown) => void) | undefined
}

/** Knows whether one backend answers. However many ask, it is asked once at a time, and no more often than `maxAge`. */
export class BackendHealth {
  readonly #name: string
  readonly #probe: Probe
  readonly #maxAge: number
  readonly #timeout: number
  readonly #onChange: (backend: string, error: unknown) => void
  #checked = Number.NEGATIVE_INFINITY
  #healthy = true
  #current: Promise<void> | undefined
  #pending = false

  /** @param name of the backend, for messages */
  constructor(name: string, probe: Probe, options: BackendHealthOptions = {}) {
    this.#name = name
    this.#probe = probe
    this.#maxAge = options.maxAge ?? 1000
    this.#timeout = options.timeout ?? 2000
    this.#onChange = options.onChange ?? (() => {})
  }

  /** Whether it answers, as of no longer ago than `maxAge`. Never rejects. */
  async healthy(): Promise<boolean> {
    if (performance.now() - this.#checked > this.#maxAge) {
      this.#current ??= this.#check().finally(() => (this.#current = undefined))
      await this.#current
    }
    return this.#healthy
  }

  async #check(): Promise<void> {
    const error = await this.#failure()
    this.#checked = performance.now()
    const healthy = error === undefined
    if (healthy === this.#healthy) return
    this.#healthy = healthy
    this.#onChange(this.#name, error)
  }

  async #failure(): Promise<unknown> {
    // A backend that ignores its signal is not asked again before it has answered.
    if (this.#pending) return new Error('the last probe has not been answered yet')
    this.#pending = true
    const controller = new AbortController()
    const late = new Error(`no answer within ${this.#timeout} ms`)
    let timer: NodeJS.Timeout | undefined
    const timeout = new Promise<unknown>((resolve) => {
      timer = setTimeout(() => {
        resolve(late)
        controller.abort(late)
      }, this.#timeout)
    })
    const answered = this.#ask(controller.signal).finally(() => (this.#pending = false))
    try {
      return await Promise.race([answered, timeout])
    } finally {
      clearTimeout(timer)
    }
  }

  async #ask(signal: AbortSignal): Promise<unknown> {
    try {
      await this.#probe(signal)
      return undefined
    } catch (error) {
      return error ?? new Error('unknown failure')
    }
  }
}
