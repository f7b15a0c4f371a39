import { defaultRegistry, legacyDatabase, type Registry } from '@neve/castore-services/composition'
import {
  bigtablePathInfos,
  cachePathInfos,
  embeddedPathInfos,
  grpcPathInfos,
  lruPathInfos,
  memoryPathInfos,
  nixPathInfos,
  objectStorePathInfos,
  PATH_INFO_SERVICE,
  readonlyPathInfos,
  signingPathInfos,
} from './path-info-types.js'

export { type ComposedEmbeddedStore, embeddedPathInfosIn } from './embedded-path-infos.js'
export { type ComposedObjectStore, objectStoresIn } from './object-stores.js'
export { PATH_INFO_SERVICE } from './path-info-types.js'

/**
 * Registers the types of path info services of this package (spec 07 section 13.2).
 *
 * @throws CompositionError `duplicate` when one of them is there already
 */
export function addPathInfoServices(registry: Registry): void {
  registry.register(PATH_INFO_SERVICE, memoryPathInfos)
  registry.register(PATH_INFO_SERVICE, embeddedPathInfos)
  registry.register(PATH_INFO_SERVICE, grpcPathInfos)
  registry.register(PATH_INFO_SERVICE, objectStorePathInfos)
  registry.register(PATH_INFO_SERVICE, bigtablePathInfos)
  registry.register(PATH_INFO_SERVICE, nixPathInfos)
  registry.register(PATH_INFO_SERVICE, cachePathInfos)
  registry.register(PATH_INFO_SERVICE, lruPathInfos)
  registry.register(PATH_INFO_SERVICE, signingPathInfos)
  registry.register(PATH_INFO_SERVICE, readonlyPathInfos)
  registry.register(PATH_INFO_SERVICE, legacyDatabase('sled'))
  registry.register(PATH_INFO_SERVICE, legacyDatabase('redb'))
}

/** A new registry with everything that a whole store can be made of: blobs, directories and path infos. */
export function storeRegistry(): Registry {
  const registry = defaultRegistry()
  addPathInfoServices(registry)
  return registry
}
