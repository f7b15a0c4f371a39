import type { B3Digest, Directory } from '@neve/castore-model'
import {
  type CallOptions,
  CastoreError,
  type DirectoryPutter,
  type DirectoryService,
  GraphPutter,
  type ValidatedGraph,
} from '@neve/castore-services'

export type DirectoryCall = 'get' | 'put' | 'getRecursive' | 'putMultipleStart'

/** Passes everything on to a real service, counts what it is asked for, and fails on command. */
export class DirectoryProbe implements DirectoryService {
  readonly calls: Record<DirectoryCall, number> = { get: 0, put: 0, getRecursive: 0, putMultipleStart: 0 }
  /** Chosen calls reject with what this gives; `next` is asked for each directory of a closure. */
  failure: (call: 'get' | 'put' | 'next' | 'close', digest?: B3Digest) => unknown = () => undefined
  /** Calls wait until this settles; `getRecursive` does so before its second directory. */
  gate: Promise<void> | undefined
  openClosures = 0

  constructor(readonly inner: DirectoryService) {}

  get total(): number {
    return Object.values(this.calls).reduce((sum, count) => sum + count, 0)
  }

  reset(): void {
    for (const call of Object.keys(this.calls) as DirectoryCall[]) this.calls[call] = 0
  }

  fail(code: CastoreError['code'], ...which: string[]): void {
    this.failure = (call) =>
      which.length === 0 || which.includes(call)
        ? new CastoreError(code, `${call} fails on command`)
        : undefined
  }

  heal(): void {
    this.failure = () => undefined
  }

  async get(digest: B3Digest, options?: CallOptions): Promise<Directory | undefined> {
    this.calls.get += 1
    await this.gate
    this.#throwIfTold('get', digest)
    return this.inner.get(digest, options)
  }

  async put(directory: Directory, options?: CallOptions): Promise<B3Digest> {
    this.calls.put += 1
    await this.gate
    this.#throwIfTold('put', directory.digest())
    return this.inner.put(directory, options)
  }

  async *getRecursive(root: B3Digest, options?: CallOptions): AsyncGenerator<Directory, void, undefined> {
    this.calls.getRecursive += 1
    this.openClosures += 1
    let count = 0
    try {
      this.#throwIfTold('next', root)
      for await (const directory of this.inner.getRecursive(root, options)) {
        if (count > 0) await this.gate
        options?.signal?.throwIfAborted()
        this.#throwIfTold('next', directory.digest())
        count += 1
        yield directory
      }
    } finally {
      this.openClosures -= 1
    }
  }

  putMultipleStart(options?: CallOptions): DirectoryPutter {
    this.calls.putMultipleStart += 1
    const putter = this.inner.putMultipleStart(options)
    const close = putter.close.bind(putter)
    putter.close = async (call) => {
      await this.gate
      this.#throwIfTold('close')
      return close(call)
    }
    return putter
  }

  #throwIfTold(call: Parameters<DirectoryProbe['failure']>[0], digest?: B3Digest): void {
    const error = this.failure(call, digest)
    if (error !== undefined) throw error
  }
}

/** Knows the roots of uploads only, as the reference's object store does; a single put takes no children. */
export class RootsOnlyDirectoryService implements DirectoryService {
  readonly closures = new Map<string, readonly Directory[]>()

  async get(digest: B3Digest, { signal }: CallOptions = {}): Promise<Directory | undefined> {
    signal?.throwIfAborted()
    return this.closures.get(digest.key)?.[0]
  }

  async put(directory: Directory, { signal }: CallOptions = {}): Promise<B3Digest> {
    signal?.throwIfAborted()
    if ([...directory.directories()].length > 0) {
      throw new CastoreError('invalid-request', 'only putMultipleStart takes directories with children')
    }
    this.closures.set(directory.digest().key, [directory])
    return directory.digest()
  }

  async *getRecursive(
    root: B3Digest,
    { signal }: CallOptions = {},
  ): AsyncGenerator<Directory, void, undefined> {
    for (const directory of this.closures.get(root.key) ?? []) {
      signal?.throwIfAborted()
      yield directory
    }
    signal?.throwIfAborted()
  }

  putMultipleStart(options?: CallOptions): DirectoryPutter {
    const store = async (graph: ValidatedGraph) => {
      this.closures.set(graph.root!.digest().key, [...graph.rootToLeaves()])
    }
    return new GraphPutter(store, options)
  }
}
