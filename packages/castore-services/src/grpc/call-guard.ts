import { ClientError } from 'nice-grpc'
import type { CallOptions } from '../call-options.js'
import { CastoreError } from '../errors.js'
import type { GrpcChannel } from './channel.js'
import { GrpcStatusError } from './status-error.js'

/** What a call is made with: the signal of its {@link CallGuard}. */
export interface GuardedCallOptions {
  readonly signal: AbortSignal
}

/** Watches one call: ends it with the caller's signal or after a long silence, and tells what its failure means. */
export class CallGuard implements Disposable {
  readonly #channel: GrpcChannel
  readonly #call: string
  readonly #caller: AbortSignal | undefined
  readonly #controller = new AbortController()
  #timer: NodeJS.Timeout | undefined
  #silent = false
  readonly #untrack: () => void

  /** @param call the method, for messages: `BlobService/Stat` */
  constructor(channel: GrpcChannel, call: string, { signal }: CallOptions) {
    this.#channel = channel
    this.#call = call
    this.#caller = signal
    this.#untrack = channel.track(this)
    if (signal?.aborted) this.#onAbort()
    else signal?.addEventListener('abort', this.#onAbort, { once: true })
  }

  /** For the call: fires when it is to end. */
  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Ends the call. */
  cancel(reason?: unknown): void {
    this.#controller.abort(reason)
  }

  /** Waits for the server, no longer than it may be silent. */
  async await<T>(answer: Promise<T>): Promise<T> {
    this.#arm()
    try {
      return await answer
    } catch (error) {
      throw this.explain(error)
    } finally {
      clearTimeout(this.#timer)
    }
  }

  /** What a failure of the call is for who made it: the caller's own reason, or a CastoreError. */
  explain(error: unknown): unknown {
    if (this.#caller?.aborted) return this.#caller.reason
    if (this.#channel.closed) return this.#channel.closedError()
    if (this.#silent) {
      const { name, timeout } = this.#channel
      const text = `${name}: ${this.#call}: no sign of life for ${timeout} ms`
      return new CastoreError('unavailable', text, { cause: error })
    }
    if (error instanceof ClientError) return new GrpcStatusError(this.#channel.name, this.#call, error)
    if (error instanceof CastoreError) return error
    const text = error instanceof Error ? error.message : String(error)
    return new CastoreError('storage', `${this.#channel.name}: ${this.#call}: ${text}`, { cause: error })
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
    this.#untrack()
    this.#caller?.removeEventListener('abort', this.#onAbort)
  }

  #arm(): void {
    const { timeout } = this.#channel
    if (timeout === 0) return
    this.#timer = setTimeout(() => {
      this.#silent = true
      this.#controller.abort()
    }, timeout)
  }

  readonly #onAbort = (): void => this.#controller.abort(this.#caller?.reason)
}
