/**
 * Roots, and the collection of garbage in an embedded store.
 *
 * @packageDocumentation
 */
export {
  type CollectedGarbage,
  type CollectGarbageOptions,
  type CollectProgress,
  collectGarbage,
} from './collect-garbage.js'
export type { MarkProgress } from './mark.js'
export { listRoots, type Root, removeRoot, setRoot, targetText } from './roots.js'
