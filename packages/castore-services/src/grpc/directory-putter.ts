import { B3Digest, type Directory } from '@neve/castore-model'
import type { CallOptions } from '../call-options.js'
import { abortable } from '../concurrency/abortable.js'
import { linkSignals } from '../concurrency/linked-signal.js'
import { expectOpen, type PutterState } from '../directory/putter-state.js'
import type { DirectoryPutter } from '../directory-service.js'
import type { GrpcCaller } from './call.js'
import type { DirectoryMethods } from './castore-definitions.js'
import type { GrpcUpload } from './client.js'
import { LeavesToRootCheck } from './closure-check.js'
import { expectStored } from './expect-stored.js'
import { explainUpload } from './size-refusal.js'

type Upload = GrpcUpload<Uint8Array, { readonly root_digest?: Uint8Array | null }>

/**
 * Uploads one closure as it is put: nothing of it is kept here. The call is made with the first directory, and
 * cancelled when the putter is given up, so that nothing is stored (spec 03 weakness 9).
 */
export class GrpcDirectoryPutter implements DirectoryPutter {
  readonly #caller: GrpcCaller<DirectoryMethods>
  readonly #check = new LeavesToRootCheck()
  readonly #controller = new AbortController()
  #state: PutterState = { is: 'open' }
  #upload: Upload | undefined
  #tail: Promise<unknown> = Promise.resolve()
  #ending: Promise<void> | undefined
  #closing: Promise<B3Digest> | undefined
  #unlisten: () => void = () => {}

  /** @param options the signal aborts the upload at any time until it is closed */
  constructor(caller: GrpcCaller<DirectoryMethods>, { signal }: CallOptions = {}) {
    this.#caller = caller
    if (signal === undefined) return
    const onAbort = () => void this.#end({ is: 'cancelled', reason: signal.reason }, signal.reason)
    if (signal.aborted) onAbort()
    else {
      signal.addEventListener('abort', onAbort, { once: true })
      this.#unlisten = () => signal.removeEventListener('abort', onAbort)
    }
  }

  put(directory: Directory, options: CallOptions = {}): Promise<void> {
    return this.#enqueue('put', options, async (signal) => {
      if (!this.#check.add(directory)) return
      this.#upload ??= await this.#start(signal)
      await abortable(this.#upload.send(directory.encode()), signal)
    })
  }

  close(options: CallOptions = {}): Promise<B3Digest> {
    this.#closing = this.#enqueue('close', options, async (signal) => {
      const root = this.#check.root()
      const answer = await abortable(this.#upload!.finish(), signal)
      expectStored(this.#caller.channel.name, root, answer.root_digest)
      this.#state = { is: 'closed' }
      this.#unlisten()
      return root
    })
    return this.#closing
  }

  async abort(reason?: unknown): Promise<void> {
    await this.#end({ is: 'aborted', reason }, reason)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // `return putter.close()` disposes while it closes: that is no reason to give up.
    await this.#closing?.catch(() => {})
    await this.abort()
  }

  /** Runs one call after those made before it; its failure ends the upload. */
  #enqueue<T>(name: string, options: CallOptions, call: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const run = () => this.#run(name, options, call)
    const result = this.#tail.then(run)
    this.#tail = result.catch(() => {})
    return result
  }

  async #run<T>(name: string, options: CallOptions, call: (signal: AbortSignal) => Promise<T>): Promise<T> {
    expectOpen(this.#state, name)
    using linked = linkSignals(this.#controller.signal, options.signal)
    try {
      linked.signal.throwIfAborted()
      return await call(linked.signal)
    } catch (thrown) {
      const error = explainUpload(thrown)
      if (this.#state.is === 'open') {
        // What was put already must not be taken for the whole.
        this.#state = name === 'close' ? { is: 'closed' } : { is: 'failed', error }
        this.#unlisten()
        this.#upload?.cancel(error)
      }
      throw error
    }
  }

  async #start(signal: AbortSignal): Promise<Upload> {
    const client = await this.#caller.settled(
      async (candidate) => {
        for await (const _directory of candidate.Get({ digest: B3Digest.EMPTY.bytes }, { signal })) return
      },
      { signal },
    )
    return await client.Put()
  }

  #end(state: PutterState, reason: unknown): Promise<void> {
    if (this.#state.is === 'open') {
      this.#state = state
      this.#unlisten()
      this.#controller.abort(reason)
      this.#ending = this.#tail.then(() => this.#upload?.cancel(reason))
    }
    return this.#ending ?? Promise.resolve()
  }
}
