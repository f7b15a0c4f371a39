import type { B3Digest, Directory } from '@neve/castore-model'
import type { CallOptions } from '../call-options.js'
import { expectStored } from '../combine/expect-digest.js'
import type { DirectoryPutter, DirectoryService } from '../directory-service.js'
import { DataLossError } from '../errors.js'
import { GraphPutter } from './graph-putter.js'
import { checkedClosure, uploadGraph } from './upload.js'

const BACKEND = 'verify'

/**
 * Checks everything that another directory service gives, for services that do not check it themselves: digests,
 * order, sizes, and that a closure is whole. Uploads are checked before they begin, and the digests of writes compared.
 */
export class VerifyDirectoryService implements DirectoryService {
  readonly #inner: DirectoryService

  /** @param inner stays the caller's, who closes it */
  constructor(inner: DirectoryService) {
    this.#inner = inner
  }

  async get(digest: B3Digest, options?: CallOptions): Promise<Directory | undefined> {
    const directory = await this.#inner.get(digest, options)
    if (directory === undefined || directory.digest().equals(digest)) return directory
    const detail = `requested directory with digest ${digest}, but got ${directory.digest()}`
    throw new DataLossError(digest, BACKEND, detail)
  }

  async put(directory: Directory, options?: CallOptions): Promise<B3Digest> {
    return expectStored(
      await this.#inner.put(directory, options),
      directory.digest(),
      'the directory service',
    )
  }

  async *getRecursive(root: B3Digest, options?: CallOptions): AsyncGenerator<Directory, void, undefined> {
    yield* checkedClosure(root, this.#inner.getRecursive(root, options), BACKEND)
  }

  putMultipleStart(options?: CallOptions): DirectoryPutter {
    return new GraphPutter(
      (graph, signal) => uploadGraph(this.#inner, graph, 'the directory service', { signal }),
      options,
    )
  }
}
