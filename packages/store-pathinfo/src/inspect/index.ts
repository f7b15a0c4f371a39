/**
 * What a store holds, how much of it, and why; and how two trees differ.
 *
 * @packageDocumentation
 */
export {
  type DifferenceKind,
  type DiffTotals,
  type DiffTreesOptions,
  TreeDiff,
  type TreeDifference,
} from './diff-trees.js'
export { type ContentSize, type DiskUsage, diskUsage, type UsageTarget } from './disk-usage.js'
export { type KeepingRoot, type KeptBy, keptBy } from './kept-by.js'
export { type SizedPath, type StoreInfo, type StoreInfoOptions, storeInfo } from './store-info.js'
