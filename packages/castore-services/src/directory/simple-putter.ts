import type { CallOptions } from '../call-options.js'
import type { DirectoryService } from '../directory-service.js'
import { CastoreError } from '../errors.js'
import { GraphPutter } from './graph-putter.js'

/**
 * The upload for services that can store single directories only (spec 03 section 7): checks the closure, then puts
 * each directory, leaves first. A failure half way leaves directories stored, but never one without what it references.
 */
export class SimplePutter extends GraphPutter {
  constructor(directories: Pick<DirectoryService, 'put'>, options?: CallOptions) {
    super(async (graph, signal) => {
      for (const directory of graph) {
        signal.throwIfAborted()
        const stored = await directories.put(directory, { signal })
        if (stored.equals(directory.digest())) continue
        throw new CastoreError(
          'storage',
          `got unexpected digest from backend during put: expected ${directory.digest()}, got ${stored}`,
        )
      }
    }, options)
  }
}
