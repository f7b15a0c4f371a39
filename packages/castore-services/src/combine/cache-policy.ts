import type { OnTrouble } from './trouble.js'

/**
 * Where a cache writes.
 *
 * - `through`: to the far side first, then to the near one. A write succeeds when the far side has it; the near side
 *   failing is reported, no more.
 * - `back`: to the near side, and to the far one behind that. A write succeeds when the near side has it; `flush` waits
 *   for the far side, and fails if it does not take everything. What a process that ends without has not copied yet
 *   stays on the near side only. Directories may reach the far side before the blobs that they name: flush the blobs
 *   first where somebody else reads it.
 */
export type CacheWrites = 'through' | 'back'

/** What the two kinds of caches have in common. */
export interface CacheInit<S> {
  /** Fast, and asked first. It may lose things at any time. */
  readonly near: S
  /** Has everything. */
  readonly far: S
  /** Default: `through`. */
  readonly writes?: CacheWrites | undefined
  /**
   * Told what went wrong without failing a call: the near side could not be read or filled, or a write could not be
   * copied to the far side yet. It must not throw. Default: nobody.
   */
  readonly onTrouble?: OnTrouble | undefined
}
