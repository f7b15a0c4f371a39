import type { B3Digest, Directory } from '@neve/castore-model'
import type { CallOptions } from '../call-options.js'
import { linkSignals } from '../concurrency/linked-signal.js'
import type { DirectoryPutter } from '../directory-service.js'
import { CastoreError } from '../errors.js'
import { DirectoryGraph } from './graph.js'
import { expectOpen, type PutterState } from './putter-state.js'
import type { ValidatedGraph } from './validated-graph.js'

/**
 * Stores a closure durably.
 *
 * @param graph checked; has a root
 * @param signal fires when the result is not wanted any more
 */
export type CommitClosure = (graph: ValidatedGraph, signal: AbortSignal) => Promise<void>

/**
 * Collects an upload, checks it, and hands the whole closure to a backend (spec 03 section 2.1). Nothing reaches the
 * backend before `close`. After a put that failed, every later call fails with its error (spec 03 weakness 14).
 */
export class GraphPutter implements DirectoryPutter {
  #state: PutterState = { is: 'open' }
  #graph: DirectoryGraph = DirectoryGraph.leavesToRoot()
  #closing: Promise<B3Digest> | undefined
  #unlisten: () => void = () => {}
  readonly #controller = new AbortController()
  readonly #commit: CommitClosure

  /** @param options the signal aborts the upload at any time until it is closed */
  constructor(commit: CommitClosure, { signal }: CallOptions = {}) {
    this.#commit = commit
    if (signal === undefined) return
    const onAbort = () => this.#end({ is: 'cancelled', reason: signal.reason }, signal.reason)
    if (signal.aborted) onAbort()
    else {
      signal.addEventListener('abort', onAbort, { once: true })
      this.#unlisten = () => signal.removeEventListener('abort', onAbort)
    }
  }

  async put(directory: Directory, { signal }: CallOptions = {}): Promise<void> {
    expectOpen(this.#state, 'put')
    try {
      signal?.throwIfAborted()
      this.#graph.add(directory)
    } catch (error) {
      this.#end({ is: 'failed', error })
      throw error
    }
  }

  async close({ signal }: CallOptions = {}): Promise<B3Digest> {
    expectOpen(this.#state, 'close')
    this.#closing = this.#finish(signal)
    return this.#closing
  }

  async abort(reason?: unknown): Promise<void> {
    this.#end({ is: 'aborted', reason }, reason)
    await this.#closing?.catch(() => {})
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // `return putter.close()` disposes while it closes: that is no reason to give up.
    await this.#closing?.catch(() => {})
    await this.abort()
  }

  async #finish(signal: AbortSignal | undefined): Promise<B3Digest> {
    using linked = linkSignals(this.#controller.signal, signal)
    // From here on the upload is consumed, whatever comes of it.
    this.#state = { is: 'closed' }
    const graph = this.#graph
    this.#graph = DirectoryGraph.leavesToRoot()
    try {
      linked.signal.throwIfAborted()
      const validated = graph.validate()
      if (validated.root === undefined) {
        throw new CastoreError('empty', 'got no directories: expected at least one put before close')
      }
      await this.#commit(validated, linked.signal)
      return validated.root.digest()
    } finally {
      this.#unlisten()
    }
  }

  #end(state: PutterState, reason?: unknown): void {
    this.#unlisten()
    // A commit that runs is stopped too; it then rejects by itself.
    if (state.is !== 'failed') this.#controller.abort(reason)
    if (this.#state.is !== 'open') return
    this.#state = state
    this.#graph = DirectoryGraph.leavesToRoot()
  }
}
