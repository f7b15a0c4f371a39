/**
 * Roots, and the collection of garbage in an object store.
 *
 * @packageDocumentation
 */
export {
  type CollectedObjects,
  type CollectObjectsOptions,
  type CollectObjectsProgress,
  collectObjects,
} from './collect-objects.js'
export type { ObjectMarkProgress } from './object-marking.js'
export { listObjectRoots, type ObjectRoot, removeObjectRoot, setObjectRoot } from './object-roots.js'
export { objectStoreAt } from './object-store-at.js'
