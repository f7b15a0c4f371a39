import type { B3Digest, Directory } from '@neve/castore-model'
import type { CallOptions } from '../call-options.js'
import type { DirectoryPutter, DirectoryService } from '../directory-service.js'
import { SimplePutter } from './simple-putter.js'
import { traverseDirectory } from './traverse.js'

/**
 * Keeps directories in this process' memory, without a bound (spec 03 section 8.1). A Directory is an immutable value
 * that knows its digest, so there is nothing to verify on reading.
 */
export class MemoryDirectoryService implements DirectoryService {
  readonly putsSingly = true
  readonly #directories = new Map<string, Directory>()

  async get(digest: B3Digest, { signal }: CallOptions = {}): Promise<Directory | undefined> {
    signal?.throwIfAborted()
    return this.#directories.get(digest.key)
  }

  async put(directory: Directory, { signal }: CallOptions = {}): Promise<B3Digest> {
    signal?.throwIfAborted()
    const digest = directory.digest()
    this.#directories.set(digest.key, directory)
    return digest
  }

  getRecursive(root: B3Digest, { signal }: CallOptions = {}): AsyncIterable<Directory> {
    return traverseDirectory(this, root, { signal, backend: 'memory', lookAhead: 1 })
  }

  putMultipleStart(options?: CallOptions): DirectoryPutter {
    return new SimplePutter(this, options)
  }
}
