import type { B3Digest } from '@neve/castore-model'
import type { CallOptions } from '../call-options.js'
import { abortable } from '../concurrency/abortable.js'

/**
 * Copies what was written near to the far side, behind the writes. What could not be copied is kept in mind, and tried
 * again by {@link WriteBehind.flush}.
 */
export class WriteBehind {
  readonly #copy: (digest: B3Digest) => Promise<void>
  readonly #onError: (error: unknown, digest: B3Digest) => void
  readonly #waiting = new Map<string, B3Digest>()
  readonly #failed = new Map<string, { readonly digest: B3Digest; readonly error: unknown }>()
  readonly #running = new Set<Promise<void>>()

  /** @param concurrency how many copies run at once */
  constructor(
    copy: (digest: B3Digest) => Promise<void>,
    onError: (error: unknown, digest: B3Digest) => void,
    readonly concurrency = 4,
  ) {
    this.#copy = copy
    this.#onError = onError
  }

  /** How many are not on the far side yet. */
  get pending(): number {
    return this.#waiting.size + this.#running.size + this.#failed.size
  }

  add(digest: B3Digest): void {
    this.#waiting.set(digest.key, digest)
    this.#start()
  }

  /**
   * Waits until everything that was added is on the far side, trying again what failed before.
   *
   * @throws the first error of what could not be copied, which stays pending
   */
  async flush({ signal }: CallOptions = {}): Promise<void> {
    signal?.throwIfAborted()
    for (const { digest } of this.#failed.values()) this.#waiting.set(digest.key, digest)
    this.#failed.clear()
    this.#start()
    while (this.#running.size > 0) await abortable(Promise.race(this.#running), signal)
    for (const { error } of this.#failed.values()) throw error
  }

  #start(): void {
    for (const [key, digest] of this.#waiting) {
      if (this.#running.size >= this.concurrency) return
      this.#waiting.delete(key)
      const run = this.#run(digest).finally(() => {
        this.#running.delete(run)
        this.#start()
      })
      this.#running.add(run)
    }
  }

  async #run(digest: B3Digest): Promise<void> {
    try {
      await this.#copy(digest)
      this.#failed.delete(digest.key)
    } catch (error) {
      this.#failed.set(digest.key, { digest, error })
      this.#onError(error, digest)
    }
  }
}
