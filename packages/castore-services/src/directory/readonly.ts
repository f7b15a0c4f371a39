import type { B3Digest, Directory } from '@neve/castore-model'
import { readonlyRefusal } from '../blob/readonly.js'
import type { CallOptions } from '../call-options.js'
import type { DirectoryPutter, DirectoryService } from '../directory-service.js'
import { CastoreError } from '../errors.js'

/** Lets reads through to another directory service, and refuses every write with `unsupported`. */
export class ReadonlyDirectoryService implements DirectoryService {
  readonly #inner: Pick<DirectoryService, 'get' | 'getRecursive'>

  /** @param inner stays the caller's, who closes it */
  constructor(inner: Pick<DirectoryService, 'get' | 'getRecursive'>) {
    this.#inner = inner
  }

  async get(digest: B3Digest, options?: CallOptions): Promise<Directory | undefined> {
    return this.#inner.get(digest, options)
  }

  async put(_directory: Directory, { signal }: CallOptions = {}): Promise<B3Digest> {
    signal?.throwIfAborted()
    throw readonlyRefusal('put a directory')
  }

  getRecursive(root: B3Digest, options?: CallOptions): AsyncIterable<Directory> {
    return this.#inner.getRecursive(root, options)
  }

  putMultipleStart(options?: CallOptions): DirectoryPutter {
    return new RefusingPutter(options)
  }
}

/** A putter that takes nothing: `putMultipleStart` itself has no way to fail. */
export class RefusingPutter implements DirectoryPutter {
  readonly #signal: AbortSignal | undefined
  #aborted: { readonly reason: unknown } | undefined

  constructor({ signal }: CallOptions = {}) {
    this.#signal = signal
  }

  async put(_directory: Directory, options: CallOptions = {}): Promise<never> {
    return this.#refuse(options)
  }

  async close(options: CallOptions = {}): Promise<never> {
    return this.#refuse(options)
  }

  async abort(reason?: unknown): Promise<void> {
    this.#aborted ??= { reason }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.abort()
  }

  #refuse({ signal }: CallOptions): never {
    this.#signal?.throwIfAborted()
    signal?.throwIfAborted()
    if (this.#aborted !== undefined) {
      throw new CastoreError('aborted', 'the directory upload was aborted', { cause: this.#aborted.reason })
    }
    throw readonlyRefusal('upload directories')
  }
}
