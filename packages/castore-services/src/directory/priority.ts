import type { B3Digest, Directory } from '@neve/castore-model'
import { readonlyRefusal } from '../blob/readonly.js'
import type { CallOptions } from '../call-options.js'
import { firstAnswer, type NamedStore, namedStores, type StoresInit } from '../combine/named-stores.js'
import { isTrouble, type OnTrouble } from '../combine/trouble.js'
import type { DirectoryPutter, DirectoryService } from '../directory-service.js'
import { RefusingPutter } from './readonly.js'
import { traverseDirectory } from './traverse.js'

/**
 * Reads from the first of several services that has a directory undamaged, and goes on at the next where one fails with
 * `unavailable`, `data-loss` or `storage`, in the middle of a closure too. A closure of which every service lacks
 * something is put together from single directories. Where none has a directory and one could not be asked, that one's
 * error is the answer. Writes are `unsupported`: see `MirrorDirectoryService`.
 */
export class PriorityDirectoryService implements DirectoryService {
  protected readonly stores: readonly NamedStore<DirectoryService>[]
  readonly #onTrouble: OnTrouble | undefined

  constructor(init: StoresInit<DirectoryService>) {
    this.stores = namedStores(init)
    this.#onTrouble = init.onTrouble
  }

  async get(digest: B3Digest, options: CallOptions = {}): Promise<Directory | undefined> {
    const ask = (directories: DirectoryService) => directories.get(digest, options)
    return firstAnswer(this.stores, ask, options, this.#onTrouble)
  }

  async *getRecursive(root: B3Digest, options: CallOptions = {}): AsyncGenerator<Directory, void, undefined> {
    options.signal?.throwIfAborted()
    const given = new Set<string>()
    let failure: { readonly error: unknown } | undefined
    for (const { name, service } of this.stores) {
      let found = false
      try {
        for await (const directory of service.getRecursive(root, options)) {
          found = true
          if (given.has(directory.digest().key)) continue
          given.add(directory.digest().key)
          yield directory
        }
        if (found) return
      } catch (error) {
        if (!isTrouble(error, options)) throw error
        failure ??= { error }
        this.#onTrouble?.({ store: name, error })
      }
    }
    if (failure === undefined) return
    if (given.size === 0) throw failure.error
    try {
      for await (const directory of traverseDirectory(this, root, options)) {
        if (!given.has(directory.digest().key)) yield directory
      }
    } catch (error) {
      throw isTrouble(error, options) ? failure.error : error
    }
  }

  async put(_directory: Directory, { signal }: CallOptions = {}): Promise<B3Digest> {
    signal?.throwIfAborted()
    throw readonlyRefusal('put a directory')
  }

  putMultipleStart(options?: CallOptions): DirectoryPutter {
    return new RefusingPutter(options)
  }
}
