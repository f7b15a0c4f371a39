import { BLOB_SERVICE, DIRECTORY_SERVICE } from './kind.js'
import { Registry } from './registry.js'
import { bigtableDirectories } from './types/bigtable.js'
import { cacheBlobs, cacheDirectories } from './types/cache.js'
import { combinedBlobs } from './types/combined.js'
import { embeddedBlobs, embeddedDirectories } from './types/embedded.js'
import { grpcBlobs, grpcDirectories } from './types/grpc.js'
import { legacyDatabase } from './types/legacy.js'
import { memoryBlobs, memoryDirectories } from './types/memory.js'
import { objectStoreBlobs, objectStoreDirectories } from './types/object-store.js'
import { mirrorBlobs, mirrorDirectories, priorityBlobs, priorityDirectories } from './types/several.js'
import { readonlyBlobs, readonlyDirectories, verifyBlobs, verifyDirectories } from './types/wrappers.js'

/**
 * Registers the types of blob and directory services of this package.
 *
 * @throws CompositionError `duplicate` when one of them is there already
 */
export function addDefaultServices(registry: Registry): void {
  registry.register(BLOB_SERVICE, memoryBlobs)
  registry.register(BLOB_SERVICE, embeddedBlobs)
  registry.register(BLOB_SERVICE, objectStoreBlobs)
  registry.register(BLOB_SERVICE, grpcBlobs)
  registry.register(BLOB_SERVICE, combinedBlobs)
  registry.register(BLOB_SERVICE, cacheBlobs)
  registry.register(BLOB_SERVICE, mirrorBlobs)
  registry.register(BLOB_SERVICE, priorityBlobs)
  registry.register(BLOB_SERVICE, readonlyBlobs)
  registry.register(BLOB_SERVICE, verifyBlobs)
  registry.register(BLOB_SERVICE, legacyDatabase('sled'))

  registry.register(DIRECTORY_SERVICE, memoryDirectories)
  registry.register(DIRECTORY_SERVICE, embeddedDirectories)
  registry.register(DIRECTORY_SERVICE, objectStoreDirectories)
  registry.register(DIRECTORY_SERVICE, grpcDirectories)
  registry.register(DIRECTORY_SERVICE, bigtableDirectories)
  registry.register(DIRECTORY_SERVICE, cacheDirectories)
  registry.register(DIRECTORY_SERVICE, mirrorDirectories)
  registry.register(DIRECTORY_SERVICE, priorityDirectories)
  registry.register(DIRECTORY_SERVICE, readonlyDirectories)
  registry.register(DIRECTORY_SERVICE, verifyDirectories)
  registry.register(DIRECTORY_SERVICE, legacyDatabase('sled'))
  registry.register(DIRECTORY_SERVICE, legacyDatabase('redb'))
}

/** A new registry with the types of this package. */
export function defaultRegistry(): Registry {
  const registry = new Registry()
  addDefaultServices(registry)
  return registry
}
