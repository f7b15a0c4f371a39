import { storedBytes } from '@neve/castore-services/gc'
import type { EmbeddedStore } from '@neve/embedded-store'

/** What is kept of a store besides what roots lead to. Each store path is kept with all that it references. */
export interface RetentionRules {
  /**
   * Store paths that were put or used within this time, in milliseconds, are kept. Default: none; all, where a size is
   * given.
   */
  readonly keepUsedWithin?: number | undefined
  /**
   * Of these, those that were used least recently go until no more than so many bytes are left, as they are stored. Roots,
   * and what they need, count and stay. Default: no limit.
   */
  readonly maxSize?: number | undefined
}

/** The rules as of now. */
export interface Retention {
  /** What was used at this time or later stays whatever its size, in milliseconds since 1970. */
  readonly usedSince: number
  /** What was used at this time or later may stay. */
  readonly mayStaySince: number
  /** How much may stay. */
  readonly maxBytes: number | undefined
}

/** Options of a collection that say what it keeps. */
export interface RetentionOptions extends RetentionRules {
  /** Path infos that were put or used within this time are kept, whatever the rules say. Default: an hour. */
  readonly olderThan?: number | undefined
  /** By how many bytes what is kept is to be less than what is stored, by least recent use. Default: 0. */
  readonly makeRoom?: number | undefined
}

const HOUR = 3_600_000

export function retentionOf(
  engine: EmbeddedStore,
  { olderThan = HOUR, keepUsedWithin, maxSize, makeRoom }: RetentionOptions,
): Retention {
  const now = Date.now()
  const limits = [
    ...(maxSize === undefined ? [] : [maxSize]),
    ...(makeRoom === undefined ? [] : [Math.max(0, storedBytes(engine) - makeRoom)]),
  ]
  const maxBytes = limits.length === 0 ? undefined : Math.min(...limits)
  const within = keepUsedWithin ?? (maxBytes === undefined ? 0 : now)
  return { usedSince: now - olderThan, mayStaySince: now - within, maxBytes }
}
