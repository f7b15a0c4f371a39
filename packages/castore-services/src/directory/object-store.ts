import type { B3Digest, Directory } from '@neve/castore-model'
import { MAX_DIRECTORY_BYTES } from '@neve/castore-model'
import { objectKey } from '../blob/object-layout.js'
import type { CallOptions } from '../call-options.js'
import { SingleFlight } from '../concurrency/single-flight.js'
import type { DirectoryPutter, DirectoryService } from '../directory-service.js'
import { CastoreError, DataLossError, DirectoryOrderError } from '../errors.js'
import { ObjectHolds } from '../object-store/object-holds.js'
import type { ObjectStore } from '../object-store/object-store.js'
import { ClosureCache } from './closure-cache.js'
import { ClosureIndex } from './closure-index.js'
import { below, type Closure, type ClosureLimits, decodeClosure, encodeClosure } from './closure-object.js'
import { DirectoryGraph } from './graph.js'
import { GraphPutter } from './graph-putter.js'
import { ReadonlyDirectoryService } from './readonly.js'
import type { ValidatedGraph } from './validated-graph.js'

/** Options of {@link ObjectStoreDirectoryService}. */
export interface ObjectStoreDirectoryServiceInit {
  /** Where objects are kept. It stays the caller's: the service does not close it. */
  readonly store: ObjectStore
  /** The most bytes of one directory, read or written. Default: 100 MiB, over a million entries. */
  readonly maxDirectoryBytes?: number | undefined
  /** The most bytes of all directories of a closure, read or written. Default: 512 MiB. */
  readonly maxClosureBytes?: number | undefined
  /** How much memory to spend on closures that were read, in bytes, roughly; 0 for none. Default: 64 MiB. */
  readonly cacheSize?: number | undefined
  /** False for who only looks, and stores nothing: see {@link DirectoryService.withoutUse}. Default: true. */
  readonly recordsUse?: boolean | undefined
}

/**
 * Directories in an object store, in the layout of the reference, which can read what this writes and the other way
 * round (spec 03 section 9.1): each upload is one object under `dirs/b3/`, by its root. Directories below a root are
 * found too, by an index under `neve/dirs/`; those of an upload by the reference, once its root was read here. Every
 * read is verified, whole closures at a time: nothing of a damaged one is given out.
 *
 * `put` of a directory with children takes those that are stored, and stores all of them again under the new root;
 * it refuses one whose children are not. Use `putMultipleStart` for trees.
 */
export class ObjectStoreDirectoryService implements DirectoryService {
  readonly #store: ObjectStore
  readonly #backend: string
  readonly #limits: ClosureLimits
  readonly #cache: ClosureCache
  readonly #index: ClosureIndex
  readonly #holds: ObjectHolds
  readonly #loading = new SingleFlight<string, Closure | undefined>()
  readonly #storing = new SingleFlight<string, void>()
  #closed = false

  constructor({
    store,
    maxDirectoryBytes = MAX_DIRECTORY_BYTES,
    maxClosureBytes = 512 * 1024 * 1024,
    cacheSize = 64 * 1024 * 1024,
    recordsUse = true,
  }: ObjectStoreDirectoryServiceInit) {
    this.#store = store
    this.#backend = `objectstore+${store.name}`
    this.#limits = { maxDirectoryBytes, maxClosureBytes }
    this.#cache = new ClosureCache(cacheSize)
    this.#index = new ClosureIndex(store)
    this.#holds = new ObjectHolds(store, { recordsUse })
  }

  async get(digest: B3Digest, options: CallOptions = {}): Promise<Directory | undefined> {
    this.#begin(options)
    return (await this.#closureWith(digest, options))?.directories.get(digest.key)
  }

  async put(directory: Directory, options: CallOptions = {}): Promise<B3Digest> {
    this.#begin(options)
    const graph = DirectoryGraph.leavesToRoot()
    for (const { node } of directory.directories()) {
      const closure = await this.#closureWith(node.digest, options)
      if (closure === undefined) throw new DirectoryOrderError(directory.digest(), node.digest)
      for (const child of leavesFirst(closure, node.digest)) graph.add(child)
    }
    graph.add(directory)
    await this.#commit(graph.validate(), options)
    return directory.digest()
  }

  async *getRecursive(root: B3Digest, options: CallOptions = {}): AsyncGenerator<Directory, void, undefined> {
    this.#begin(options)
    const closure = await this.#closureWith(root, options)
    if (closure === undefined) return
    for (const directory of below(closure, root)) {
      options.signal?.throwIfAborted()
      yield directory
    }
  }

  putMultipleStart(options?: CallOptions): DirectoryPutter {
    return new GraphPutter((graph, signal) => {
      this.#begin({ signal })
      return this.#commit(graph, { signal })
    }, options)
  }

  withoutUse(): DirectoryService {
    const { maxDirectoryBytes, maxClosureBytes } = this.#limits
    const init = { store: this.#store, maxDirectoryBytes, maxClosureBytes, recordsUse: false }
    return new ReadonlyDirectoryService(new ObjectStoreDirectoryService(init))
  }

  /** Lets go of caches. The store stays open. */
  async close(): Promise<void> {
    this.#closed = true
    this.#cache.clear()
  }

  #begin({ signal }: CallOptions): void {
    signal?.throwIfAborted()
    if (this.#closed) throw new CastoreError('closed', 'the directory service is already closed')
  }

  /** A closure that has the directory, as its root or below it. */
  async #closureWith(digest: B3Digest, options: CallOptions): Promise<Closure | undefined> {
    for (const cached of [this.#cache.get(digest), this.#cache.having(digest)]) {
      if (cached !== undefined && (await this.#holdClosure(cached, options))) return cached
    }
    const closure = await this.#load(digest, options)
    if (closure !== undefined && (await this.#holdClosure(closure, options))) return closure
    const tried = new Set([digest.key])
    const known = await this.#firstWith(digest, tried, options)
    if (known !== undefined) return known
    await this.#index.refresh(options)
    return this.#firstWith(digest, tried, options)
  }

  async #firstWith(digest: B3Digest, tried: Set<string>, options: CallOptions): Promise<Closure | undefined> {
    let loss: unknown
    for (const root of this.#index.candidates(digest)) {
      if (tried.has(root.key)) continue
      tried.add(root.key)
      try {
        const closure = this.#cache.get(root) ?? (await this.#load(root, options))
        if (!closure?.directories.has(digest.key)) continue
        if (await this.#holdClosure(closure, options)) return closure
      } catch (error) {
        if (!(error instanceof DataLossError)) throw error
        loss ??= error
      }
    }
    if (loss !== undefined) throw loss
    return undefined
  }

  /** Keeps a closure from being collected for a while: who reads it may be about to store what refers to it. */
  async #holdClosure({ root }: Closure, { signal }: CallOptions): Promise<boolean> {
    const held = await this.#holds.hold(objectKey('dirs', root), { signal })
    if (!held) this.#cache.delete(root)
    return held
  }

  async #load(root: B3Digest, { signal }: CallOptions): Promise<Closure | undefined> {
    const load = async (stop: AbortSignal): Promise<Closure | undefined> => {
      const stored = await this.#read(root, stop)
      if (stored === undefined) return undefined
      const closure = decodeClosure(root, stored, this.#limits, this.#backend)
      this.#cache.set(closure)
      return closure
    }
    return this.#loading.run(root.key, load, { signal })
  }

  #read(root: B3Digest, signal: AbortSignal | undefined): Promise<Uint8Array | undefined> {
    // Compressed it is hardly ever longer.
    const maxSize = this.#limits.maxClosureBytes + 65536
    return this.#store.get(objectKey('dirs', root), { maxSize, signal })
  }

  async #commit(graph: ValidatedGraph, { signal }: CallOptions): Promise<void> {
    const root = graph.root!.digest()
    await this.#storing.run(root.key, (stop) => this.#storeClosure(graph, root, stop), { signal })
  }

  async #storeClosure(graph: ValidatedGraph, root: B3Digest, signal: AbortSignal): Promise<void> {
    const content = encodeClosure(graph.rootToLeaves(), this.#limits)
    const key = objectKey('dirs', root)
    if (
      !(await this.#isSound(root, content, signal)) ||
      !(await this.#holds.hold(key, { content, signal }))
    ) {
      this.#cache.delete(root)
      await this.#holds.put(key, content, { signal })
    }
    if (graph.size === 1) return
    // Only when the closure is durable: what is in the index can be found.
    const digests = Array.from(graph.rootToLeaves(), (directory) => directory.digest())
    await this.#index.add(root, digests.slice(1), { signal })
  }

  async #isSound(root: B3Digest, content: Uint8Array, signal: AbortSignal): Promise<boolean> {
    try {
      const stored = await this.#read(root, signal)
      if (stored === undefined) return false
      if (Buffer.compare(stored, content) === 0) return true
      decodeClosure(root, stored, this.#limits, this.#backend)
      return true
    } catch (error) {
      if (error instanceof DataLossError) return false
      if (error instanceof CastoreError && error.code === 'too-large') return false
      throw error
    }
  }
}

function leavesFirst(closure: Closure, root: B3Digest): Iterable<Directory> {
  const graph = DirectoryGraph.rootToLeaves(root)
  for (const directory of below(closure, root)) graph.add(directory)
  return graph.validate().leavesToRoot()
}
