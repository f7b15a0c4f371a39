import type { B3Digest, Directory } from '@neve/castore-model'
import type { CallOptions } from '../call-options.js'
import { abortable } from '../concurrency/abortable.js'
import { sharedController } from '../concurrency/shared-controller.js'
import type { DirectoryService } from '../directory-service.js'
import { CastoreError } from '../errors.js'
import { weightOfDirectories } from './closure-cache.js'
import { checkedClosure } from './upload.js'
import type { ValidatedGraph } from './validated-graph.js'

type FetchState =
  | { readonly is: 'running' }
  | { readonly is: 'done' }
  | { readonly is: 'failed'; readonly error: unknown }

/**
 * One closure on its way, for any number of readers: each gets what came already and then what comes. It is cancelled
 * when every reader has left before its end, unless one was answered with a single directory: then the rest is wanted too.
 */
export class ClosureFetch {
  readonly #arrived: Directory[] = []
  readonly #byDigest = new Map<string, Directory>()
  readonly #expected = new Set<string>()
  readonly #controller = sharedController()
  readonly #onCancelled: () => void
  readonly #maxWeight: number
  #state: FetchState = { is: 'running' }
  #readers = 0
  #kept = false
  #wake: () => void = () => {}
  #change: Promise<void> = Promise.resolve()

  /** The whole closure, checked; has no root when it is absent. Rejects as reading does. */
  readonly closure: Promise<ValidatedGraph>

  /**
   * @param maxWeight how much memory it may take, in bytes, roughly; beyond that it fails as `too-large`
   * @param onCancelled called at once when nobody wants it any more
   */
  constructor(
    directories: Pick<DirectoryService, 'getRecursive'>,
    root: B3Digest,
    maxWeight: number,
    onCancelled: () => void,
  ) {
    this.#maxWeight = maxWeight
    this.#onCancelled = onCancelled
    this.#expected.add(root.key)
    this.#renew()
    this.closure = this.#run(directories, root)
    // Whoever waits for it handles its failure; there may be nobody.
    this.closure.catch(() => {})
  }

  /** Whether a directory of this digest has come, or will. */
  includes(digest: B3Digest): boolean {
    return this.#byDigest.has(digest.key) || this.#expected.has(digest.key)
  }

  /** Waits for one directory. Undefined when it does not come. */
  async find(digest: B3Digest, options: CallOptions = {}): Promise<Directory | undefined> {
    using _reader = this.#enter()
    for (;;) {
      const found = this.#byDigest.get(digest.key)
      if (found !== undefined) {
        this.#kept = true
        return found
      }
      const state = this.#state
      if (state.is === 'failed') throw state.error
      if (state.is === 'done' || !this.#expected.has(digest.key)) return undefined
      await abortable(this.#change, options.signal)
    }
  }

  /** The closure in the order of its source. */
  async *stream(options: CallOptions = {}): AsyncGenerator<Directory, void, undefined> {
    options.signal?.throwIfAborted()
    using _reader = this.#enter()
    for (let next = 0; ; ) {
      const directory = this.#arrived[next]
      if (directory !== undefined) {
        next += 1
        yield directory
        options.signal?.throwIfAborted()
        continue
      }
      const state = this.#state
      if (state.is === 'failed') throw state.error
      if (state.is === 'done') return
      await abortable(this.#change, options.signal)
    }
  }

  async #run(directories: Pick<DirectoryService, 'getRecursive'>, root: B3Digest): Promise<ValidatedGraph> {
    try {
      const { signal } = this.#controller
      const source = this.#bounded(root, directories.getRecursive(root, { signal }))
      const closure = checkedClosure(root, source, 'far')
      for (let next = await closure.next(); ; next = await closure.next()) {
        if (next.done) {
          this.#end({ is: 'done' })
          return next.value
        }
        this.#take(next.value)
      }
    } catch (error) {
      this.#end({ is: 'failed', error })
      throw error
    }
  }

  async *#bounded(root: B3Digest, source: AsyncIterable<Directory>): AsyncGenerator<Directory> {
    let bytes = 0
    let count = 0
    for await (const directory of source) {
      bytes += directory.encode().length
      count += 1
      if (weightOfDirectories(bytes, count) > this.#maxWeight) {
        const detail = `more than ${this.#maxWeight} bytes of memory, after ${count} directories`
        throw new CastoreError('too-large', `far: the closure of directory ${root} takes ${detail}`)
      }
      yield directory
    }
  }

  #take(directory: Directory): void {
    const { key } = directory.digest()
    this.#arrived.push(directory)
    this.#byDigest.set(key, directory)
    this.#expected.delete(key)
    for (const { node } of directory.directories()) {
      if (!this.#byDigest.has(node.digest.key)) this.#expected.add(node.digest.key)
    }
    this.#renew()
  }

  #end(state: FetchState): void {
    this.#state = state
    this.#expected.clear()
    this.#renew()
  }

  #renew(): void {
    const wake = this.#wake
    this.#change = new Promise((resolve) => {
      this.#wake = resolve
    })
    wake()
  }

  #enter(): Disposable {
    this.#readers += 1
    const leave = () => {
      this.#readers -= 1
      if (this.#readers > 0 || this.#kept || this.#state.is !== 'running') return
      this.#onCancelled()
      this.#controller.abort()
    }
    return { [Symbol.dispose]: leave }
  }
}
