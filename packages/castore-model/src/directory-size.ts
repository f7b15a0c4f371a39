import { DirectoryError } from './directory-error.js'
import { MAX_U64 } from './u64.js'

/**
 * How a directory's entries count towards its size: `once` is the documented rule; `twice` is what Tvix from August 2024 and Snix
 * until mid 2026 compute, and insist on (spec 01 section 6.3).
 */
export type DirectorySizes = 'once' | 'twice'

/**
 * The one place where the rule lives: the size of a directory of `entryCount` entries whose child directories have recorded sizes
 * that sum up to `childSizes`. Throws `DirectoryError` of kind `SizeOverflow` over 2^64−1.
 */
export function directorySize(entryCount: number, childSizes: bigint, rule: DirectorySizes = 'once'): bigint {
  const size = BigInt(entryCount) * (rule === 'twice' ? 2n : 1n) + childSizes
  if (size > MAX_U64) throw new DirectoryError('SizeOverflow')
  return size
}
