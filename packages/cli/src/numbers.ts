import { UsageError } from './messages.js'

const UNITS = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 } as const

/**
 * A size in bytes, of an option.
 *
 * @throws UsageError
 */
export function parseSize(flag: string, text: string): number {
  const parts = /^(\d+)([KMGT]?)$/i.exec(text)
  const size = Number(parts?.[1]) * UNITS[(parts?.[2] ?? '').toUpperCase() as keyof typeof UNITS]
  if (parts !== null && Number.isSafeInteger(size)) return size
  throw new UsageError(
    `${flag} ${JSON.stringify(text)}: expected a number of bytes, or one with K, M, G or T`,
  )
}

const TIMES = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 } as const

/**
 * A time in milliseconds, of an option: `90s`, `12h`, `30d`.
 *
 * @throws UsageError
 */
export function parseDuration(flag: string, text: string): number {
  const parts = /^(\d{1,9})(ms|s|m|h|d|w)$/.exec(text)
  if (text === '0') return 0
  if (parts !== null) return Number(parts[1]) * TIMES[parts[2] as keyof typeof TIMES]
  throw new UsageError(`${flag} ${JSON.stringify(text)}: expected a number with s, m, h, d or w, such as 12h`)
}

/**
 * How many of something, of an option: at least 1, at most 1000.
 *
 * @throws UsageError
 */
export function parseCount(flag: string, text: string): number {
  const count = /^\d{1,4}$/.test(text) ? Number(text) : 0
  if (count >= 1 && count <= 1000) return count
  throw new UsageError(`${flag} ${JSON.stringify(text)}: expected a number from 1 to 1000`)
}

/** The owner that files are shown with. */
export interface UidGid {
  readonly uid: number
  readonly gid: number
}

const MAX_ID = 2 ** 32 - 1

/**
 * `1000:100`: a user's and a group's number (spec 08 section 3.4).
 *
 * @throws UsageError
 */
export function parseUidGid(flag: string, text: string): UidGid {
  const [, uid, gid] = /^(\d{1,10}):(\d{1,10})$/.exec(text) ?? []
  if (uid !== undefined && gid !== undefined && Number(uid) <= MAX_ID && Number(gid) <= MAX_ID) {
    return { uid: Number(uid), gid: Number(gid) }
  }
  throw new UsageError(`${flag} ${JSON.stringify(text)}: expected two numbers, such as 1000:100`)
}
