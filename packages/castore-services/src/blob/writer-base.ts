import type { B3Digest } from '@neve/castore-model'
import type { BlobWriter } from '../blob-service.js'
import type { CallOptions } from '../call-options.js'
import { linkSignals } from '../concurrency/linked-signal.js'
import { CastoreError } from '../errors.js'

type WriterState =
  | { readonly is: 'open' }
  | { readonly is: 'closed'; readonly digest: B3Digest }
  | { readonly is: 'failed'; readonly error: unknown }
  | { readonly is: 'cancelled'; readonly reason: unknown }
  | { readonly is: 'aborted'; readonly reason: unknown }

/**
 * The states of a writer (spec 02 section 4), the same for every backend. A backend says how bytes are taken, handed
 * on, committed and thrown away; this class sees to it that these run one at a time, in the order of the calls, and
 * not after the writer has ended.
 */
export abstract class BlobWriterBase implements BlobWriter {
  #state: WriterState = { is: 'open' }
  #tail: Promise<unknown> | undefined
  #ending: Promise<void> | undefined
  #closing: Promise<B3Digest> | undefined
  #unlisten: () => void = () => {}
  readonly #controller = new AbortController()

  /** @param options the signal aborts the writer at any time until it is closed */
  constructor({ signal }: CallOptions = {}) {
    if (signal === undefined) return
    const onAbort = () => void this.#end({ is: 'cancelled', reason: signal.reason }, signal.reason)
    if (signal.aborted) this.#state = { is: 'cancelled', reason: signal.reason }
    else {
      signal.addEventListener('abort', onAbort, { once: true })
      this.#unlisten = () => signal.removeEventListener('abort', onAbort)
    }
  }

  /** Takes bytes, at least one. They may not be kept once it has settled. */
  protected abstract accept(bytes: Uint8Array, signal: AbortSignal): void | Promise<void>

  /** Hands on what is buffered. */
  protected abstract drain(signal: AbortSignal): void | Promise<void>

  /** Stores the blob and makes it visible. Where it fails, `discard` follows. */
  protected abstract commit(signal: AbortSignal): B3Digest | Promise<B3Digest>

  /** Throws away what was taken: after `abort`, or after a failure. Called once, when nothing else runs. */
  protected abstract discard(reason: unknown): void | Promise<void>

  write(bytes: Uint8Array, options: CallOptions = {}): Promise<void> {
    return this.#enqueue('write', options, async (signal) => {
      if (bytes.length > 0) await this.accept(bytes, signal)
    })
  }

  flush(options: CallOptions = {}): Promise<void> {
    return this.#enqueue('flush', options, async (signal) => this.drain(signal))
  }

  close(options: CallOptions = {}): Promise<B3Digest> {
    this.#closing = this.#enqueue('close', options, async (signal) => {
      const digest = await this.commit(signal)
      // An abort that came too late to stop the commit does not make the blob invisible again.
      this.#state = { is: 'closed', digest }
      this.#unlisten()
      return digest
    })
    return this.#closing
  }

  async abort(reason?: unknown): Promise<void> {
    await this.#end({ is: 'aborted', reason }, reason)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // `return writer.close()` disposes while it closes: that is no reason to give up.
    await this.#closing?.catch(() => {})
    await this.abort()
  }

  /** Runs one call after those made before it; its failure ends the writer. */
  async #enqueue<T>(
    name: string,
    options: CallOptions,
    call: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const before = this.#tail
    const run = () => this.#run(name, options, call)
    const result = before === undefined ? run() : before.then(run, run)
    this.#tail = result
    try {
      return await result
    } finally {
      if (this.#tail === result) this.#tail = undefined
    }
  }

  async #run<T>(name: string, options: CallOptions, call: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const state = this.#state
    if (state.is === 'closed' && name === 'close') return state.digest as T
    if (state.is !== 'open') throw refusal(name, state)
    using linked = linkSignals(this.#controller.signal, options.signal)
    try {
      linked.signal.throwIfAborted()
      return await call(linked.signal)
    } catch (error) {
      if (this.#state.is === 'open') {
        this.#state = { is: 'failed', error }
        this.#unlisten()
        await this.#throwAway(error)
      }
      throw error
    }
  }

  #end(state: WriterState, reason: unknown): Promise<void> {
    if (this.#state.is === 'open') {
      this.#state = state
      this.#unlisten()
      this.#controller.abort(reason)
      this.#ending = this.#discardAfterCalls(state, reason)
    }
    return this.#ending ?? Promise.resolve()
  }

  async #discardAfterCalls(state: WriterState, reason: unknown): Promise<void> {
    while (this.#tail !== undefined) await this.#tail.catch(() => {})
    if (this.#state === state) await this.#throwAway(reason)
  }

  // The error that ended the writer is the one to report, not one that clearing up brings afterwards.
  async #throwAway(reason: unknown): Promise<void> {
    try {
      await this.discard(reason)
    } catch {}
  }
}

function refusal(call: string, state: Exclude<WriterState, { readonly is: 'open' }>): unknown {
  switch (state.is) {
    case 'cancelled':
      return state.reason
    case 'aborted':
      return new CastoreError('aborted', `cannot ${call}: the blob writer was aborted`, {
        cause: state.reason,
      })
    case 'failed':
      if (call === 'close') return state.error
      return new CastoreError('closed', `cannot ${call}: the blob writer is already closed`, {
        cause: state.error,
      })
    case 'closed':
      return new CastoreError('closed', `cannot ${call}: the blob writer is already closed`)
  }
}
