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
  type GarbagePath,
} from './collect-garbage.js'
export type { MarkProgress } from './mark.js'
export type { RetentionOptions, RetentionRules } from './retention.js'
export { listRoots, type Root, removeRoot, setRoot, targetText } from './roots.js'
