import { ArchiveError } from './errors.js'

/** How much an archive may hold. What is above is refused with an ArchiveError of code `limit`, as soon as it is seen. */
export interface ArchiveLimits {
  /** Bytes of the archive when decompressed, and bytes of all its files together, holes filled. Default: 64 GiB. */
  readonly maxSize?: number | undefined
  /** Entries, and directories that no entry tells of but paths imply. Default: 2,000,000. */
  readonly maxEntries?: number | undefined
  /** Components of a path. Default: 1,024. */
  readonly maxDepth?: number | undefined
  /** Bytes of a path or of a hard link's target as the archive has it. Default: 65,536. */
  readonly maxNameLength?: number | undefined
  /** Bytes of one extended header, or of one sparse file's list of pieces. Default: 1 MiB. */
  readonly maxHeaderSize?: number | undefined
}

/** {@link ArchiveLimits} with nothing left open. */
export type CheckedLimits = { readonly [Name in keyof ArchiveLimits]-?: number }

const DEFAULTS: CheckedLimits = {
  maxSize: 64 * 2 ** 30,
  maxEntries: 2_000_000,
  maxDepth: 1024,
  maxNameLength: 65_536,
  maxHeaderSize: 2 ** 20,
}

/** @throws RangeError for a limit that is no whole number of at least 0 */
export function checkedLimits(limits: ArchiveLimits = {}): CheckedLimits {
  const checked: Record<string, number> = { ...DEFAULTS }
  for (const name of Object.keys(DEFAULTS) as (keyof CheckedLimits)[]) {
    const value = limits[name] ?? DEFAULTS[name]
    if (!Number.isSafeInteger(value) || value < 0) {
      throw new RangeError(`${name}: expected a whole number of at least 0, got ${value}`)
    }
    checked[name] = value
  }
  return checked as CheckedLimits
}

/** @throws ArchiveError `limit` when there is more than the limit allows */
export function checkLimit(
  limits: CheckedLimits,
  name: keyof CheckedLimits,
  actual: number | bigint,
  what: string,
  about: { readonly entry?: Uint8Array | undefined; readonly offset?: number | undefined } = {},
): void {
  if (actual <= limits[name]) return
  throw new ArchiveError('limit', `${what}: expected at most ${limits[name]} (${name}), got ${actual}`, {
    ...about,
    limit: name,
  })
}
