import type { B3Digest, Directory } from '@neve/castore-model'
import type { CallOptions } from '../call-options.js'
import { expectStored } from '../combine/expect-digest.js'
import { withAll } from '../combine/mirror-write-error.js'
import type { DirectoryPutter, DirectoryService } from '../directory-service.js'
import { GraphPutter } from './graph-putter.js'
import { PriorityDirectoryService } from './priority.js'
import { uploadGraph } from './upload.js'

export { type MirrorFailure, MirrorWriteError } from '../combine/mirror-write-error.js'
export type { StoresInit } from '../combine/named-stores.js'

/**
 * Keeps every directory in all of several services. A write succeeds only when all of them have it; else it fails with
 * a MirrorWriteError that names those that have not, and may be tried again. An upload is checked before any of them
 * gets it. Reads are those of `PriorityDirectoryService`.
 *
 * The stores stay the caller's, who closes them.
 */
export class MirrorDirectoryService extends PriorityDirectoryService {
  override async put(directory: Directory, options: CallOptions = {}): Promise<B3Digest> {
    options.signal?.throwIfAborted()
    const digest = directory.digest()
    const store = async (directories: DirectoryService, index: number) =>
      expectStored(await directories.put(directory, options), digest, this.stores[index]!.name)
    await withAll(this.stores, store, options.signal)
    return digest
  }

  override putMultipleStart(options?: CallOptions): DirectoryPutter {
    return new GraphPutter(async (graph, signal) => {
      const upload = (directories: DirectoryService, index: number) =>
        uploadGraph(directories, graph, this.stores[index]!.name, { signal })
      await withAll(this.stores, upload, signal)
    }, options)
  }
}
