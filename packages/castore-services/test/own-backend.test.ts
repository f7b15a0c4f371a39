import { type B3Digest, Directory } from '@neve/castore-model'
import {
  type CallOptions,
  DataLossError,
  type DirectoryService,
  SimplePutter,
  traverseDirectory,
} from '@neve/castore-services'
import { directoryServiceContract } from '@neve/castore-services/contract'

/** Directories in a Map: a backend of one's own needs `get` and `put`, the rest can be made of them. */
class MyDirectoryService implements DirectoryService {
  readonly rows = new Map<string, Directory>()

  async get(digest: B3Digest, { signal }: CallOptions = {}): Promise<Directory | undefined> {
    signal?.throwIfAborted()
    const found = this.rows.get(digest.key)
    if (found === undefined || found.digest().equals(digest)) return found
    throw new DataLossError(digest, 'mine', `expected directory ${digest}, got ${found.digest()}`)
  }

  async put(directory: Directory, { signal }: CallOptions = {}): Promise<B3Digest> {
    signal?.throwIfAborted()
    this.rows.set(directory.digest().key, directory)
    return directory.digest()
  }

  getRecursive(root: B3Digest, options?: CallOptions): AsyncIterable<Directory> {
    return traverseDirectory(this, root, options)
  }

  putMultipleStart(options?: CallOptions): SimplePutter {
    return new SimplePutter(this, options)
  }
}

directoryServiceContract('my backend', {
  create: () => new MyDirectoryService(),
  capabilities: { intermediates: true, putWithChildren: 'accepted', ordersEagerly: true },
  // Makes a stored row wrong, so that the suite can see that the service notices.
  damage: async (service, digest) => {
    service.rows.set(digest.key, Directory.EMPTY)
  },
})
