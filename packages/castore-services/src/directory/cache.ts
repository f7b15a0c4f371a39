import type { B3Digest, Directory } from '@neve/castore-model'
import type { CallOptions } from '../call-options.js'
import type { CacheInit, CacheWrites } from '../combine/cache-policy.js'
import { expectStored } from '../combine/expect-digest.js'
import { isTrouble, type OnTrouble } from '../combine/trouble.js'
import { WriteBehind } from '../combine/write-behind.js'
import type { DirectoryPutter, DirectoryService } from '../directory-service.js'
import { DataLossError } from '../errors.js'
import { ClosureFetch } from './closure-fetch.js'
import { GraphPutter } from './graph-putter.js'
import { checkedClosure, uploadGraph } from './upload.js'

export type { CacheInit, CacheWrites } from '../combine/cache-policy.js'

/** What a {@link DirectoryCache} is made of. */
export interface DirectoryCacheInit extends CacheInit<DirectoryService> {
  /**
   * How much memory a closure from the far side may take while it comes, in bytes, roughly: three times the encodings and
   * 512 bytes a directory. A larger one fails as `too-large`. Default: 1 GiB, about a million directories.
   */
  readonly maxClosureMemory?: number | undefined
}

const DEFAULT_MAX_CLOSURE_MEMORY = 1024 ** 3

/**
 * A near directory service that keeps what is read from a far one (spec 03 section 9.5, weaknesses 2 and 3 mended).
 *
 * What the near side lacks is fetched from the far one as a whole closure, since a far service may know roots only. All
 * who ask for a part of a closure that is on its way share it: a caller is answered as soon as its directory has come,
 * and whoever walks down from there finds the rest. Order and sizes are checked on arrival, completeness at the end;
 * only then is the closure stored near, behind the answers. It is held in memory until that is done, up to a limit.
 *
 * - What neither side has is absent, and the near side is not touched.
 * - A near closure that lacks a directory, or has a damaged one, is completed from the far side, in the middle of a
 *   stream too, and stored again.
 * - Trouble of the near side never fails a read; `onTrouble` gets to know.
 *
 * Writes: see `CacheWrites`. The sides stay the caller's, who closes them after this.
 */
export class DirectoryCache implements DirectoryService {
  readonly #near: DirectoryService
  readonly #far: DirectoryService
  readonly #writes: CacheWrites
  readonly #onTrouble: OnTrouble | undefined
  readonly #maxClosureMemory: number
  readonly #fetches = new Map<string, ClosureFetch>()
  readonly #fills = new Set<Promise<void>>()
  readonly #behind: WriteBehind
  readonly #closuresBehind: WriteBehind

  constructor({ near, far, writes = 'through', onTrouble, maxClosureMemory }: DirectoryCacheInit) {
    this.#near = near
    this.#far = far
    this.#writes = writes
    this.#onTrouble = onTrouble
    this.#maxClosureMemory = maxClosureMemory ?? DEFAULT_MAX_CLOSURE_MEMORY
    const report = (error: unknown) => this.#report('far', error)
    // One at a time: a far side may want to see children before their parents.
    this.#behind = new WriteBehind((digest) => this.#copyToFar(digest), report, 1)
    this.#closuresBehind = new WriteBehind((root) => this.#copyClosureToFar(root), report)
  }

  async get(digest: B3Digest, options: CallOptions = {}): Promise<Directory | undefined> {
    const near = await this.#askNear(() => this.#near.get(digest, options), options)
    if (near !== undefined) return near
    for (const fetch of this.#fetches.values()) {
      if (!fetch.includes(digest)) continue
      const found = await this.#findIn(fetch, digest, options)
      if (found !== undefined) return found
    }
    return this.#fetch(digest).find(digest, options)
  }

  async put(directory: Directory, options: CallOptions = {}): Promise<B3Digest> {
    if (this.#writes === 'back') {
      const digest = await this.#near.put(directory, options)
      this.#behind.add(digest)
      return digest
    }
    const digest = await this.#far.put(directory, options)
    await this.#writeNear(async () => {
      expectStored(await this.#near.put(directory), digest, 'the near side')
    })
    return digest
  }

  async *getRecursive(root: B3Digest, options: CallOptions = {}): AsyncGenerator<Directory, void, undefined> {
    options.signal?.throwIfAborted()
    const given = new Set<string>()
    let failure: { readonly error: unknown } | undefined
    try {
      for await (const directory of this.#near.getRecursive(root, options)) {
        given.add(directory.digest().key)
        yield directory
      }
      if (given.size > 0) return
    } catch (error) {
      if (!isTrouble(error, options)) throw error
      this.#report('near', error)
      failure = { error }
    }
    let found = false
    for await (const directory of this.#fetch(root).stream(options)) {
      found = true
      if (!given.has(directory.digest().key)) yield directory
    }
    if (!found && failure !== undefined) throw failure.error
  }

  putMultipleStart(options?: CallOptions): DirectoryPutter {
    return new GraphPutter(async (graph, signal) => {
      if (this.#writes === 'back') {
        await uploadGraph(this.#near, graph, 'the near side', { signal })
        if (graph.root !== undefined) this.#closuresBehind.add(graph.root.digest())
      } else {
        await uploadGraph(this.#far, graph, 'the far side', { signal })
        await this.#writeNear(() => uploadGraph(this.#near, graph, 'the near side'))
      }
    }, options)
  }

  /**
   * Waits until the far side has everything that was written, with `writes: 'back'`; what failed is tried again.
   *
   * @throws the first error of the far side; what it did not take is tried again by the next call
   */
  async flush(options?: CallOptions): Promise<void> {
    const outcomes = await Promise.allSettled([
      this.#behind.flush(options),
      this.#closuresBehind.flush(options),
    ])
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
  }

  /** Waits until the near side has what was read, and the far side what was written. @throws as {@link flush} */
  async close(): Promise<void> {
    while (this.#fills.size > 0) await Promise.all(this.#fills)
    await this.flush()
  }

  /** Joins the fetch of a closure, or starts it. */
  #fetch(root: B3Digest): ClosureFetch {
    const { key } = root
    const running = this.#fetches.get(key)
    if (running !== undefined) return running
    const forget = () => {
      if (this.#fetches.get(key) === fetch) this.#fetches.delete(key)
    }
    let cancelled = false
    const fetch: ClosureFetch = new ClosureFetch(this.#far, root, this.#maxClosureMemory, () => {
      cancelled = true
      forget()
    })
    this.#fetches.set(key, fetch)
    const fill = this.#fill(fetch, () => cancelled).finally(() => {
      forget()
      this.#fills.delete(fill)
    })
    this.#fills.add(fill)
    return fetch
  }

  async #fill(fetch: ClosureFetch, cancelled: () => boolean): Promise<void> {
    try {
      const graph = await fetch.closure
      await this.#writeNear(() => uploadGraph(this.#near, graph, 'the near side'))
    } catch (error) {
      if (!cancelled()) this.#report('far', error)
    }
  }

  /** A directory of a closure that others asked for: its failure is theirs. */
  async #findIn(fetch: ClosureFetch, digest: B3Digest, options: CallOptions): Promise<Directory | undefined> {
    try {
      return await fetch.find(digest, options)
    } catch (error) {
      if (!isTrouble(error, options)) throw error
      return undefined
    }
  }

  async #copyToFar(digest: B3Digest): Promise<void> {
    const directory = await this.#near.get(digest)
    if (directory === undefined) throw lost(digest)
    expectStored(await this.#far.put(directory), digest, 'the far side')
  }

  async #copyClosureToFar(root: B3Digest): Promise<void> {
    const closure = checkedClosure(root, this.#near.getRecursive(root), 'near')
    let next = await closure.next()
    while (!next.done) next = await closure.next()
    if (next.value.root === undefined) throw lost(root)
    await uploadGraph(this.#far, next.value, 'the far side')
  }

  async #writeNear(write: () => Promise<void>): Promise<void> {
    try {
      await write()
    } catch (error) {
      this.#report('near', error)
    }
  }

  async #askNear<T>(ask: () => Promise<T>, options: CallOptions): Promise<T | undefined> {
    try {
      return await ask()
    } catch (error) {
      if (!isTrouble(error, options)) throw error
      this.#report('near', error)
      return undefined
    }
  }

  #report(store: 'near' | 'far', error: unknown): void {
    this.#onTrouble?.({ store, error })
  }
}

function lost(digest: B3Digest): DataLossError {
  return new DataLossError(
    digest,
    'near',
    `directory ${digest} was lost before it was copied to the far side`,
  )
}
