import type { CallOptions } from '../call-options.js'
import { CastoreError } from '../errors.js'
import type { ObjectStore } from './object-store.js'

/** How a store is collected, for all who use it. It is there from the first collection on. */
export const GRACE_KEY = 'neve/gc/grace'
const MAX_SIZE = 4096
/** The shortest grace age, in milliseconds: S3 tells times to the second. */
export const LEAST_GRACE = 2000
const MOST_GRACE = 10 * 365 * 86_400_000

/** When a store's grace age was set, by the store's clock, and what it is, both in milliseconds. */
export interface GraceAge {
  readonly grace: number
  readonly since: number
}

/**
 * The age below which nothing of a store is collected; undefined for a store that nobody has collected yet.
 *
 * @throws CastoreError `data-loss` for what is no grace age; errors of the store
 */
export async function readGrace(store: ObjectStore, { signal }: CallOptions): Promise<GraceAge | undefined> {
  const stored = await store.get(GRACE_KEY, { maxSize: MAX_SIZE, signal })
  if (stored === undefined) return undefined
  const since = (await store.head(GRACE_KEY, { signal }))?.modified
  const grace = parseGrace(Buffer.from(stored).toString())
  if (grace !== undefined) return { grace, since: since ?? Number.POSITIVE_INFINITY }
  throw new CastoreError(
    'data-loss',
    `object ${GRACE_KEY} cannot be read: expected {"version":1,"grace":milliseconds} (${store.name})`,
  )
}

/** @param grace in milliseconds */
export async function writeGrace(store: ObjectStore, grace: number, options: CallOptions): Promise<void> {
  await store.put(GRACE_KEY, Buffer.from(`${JSON.stringify({ version: 1, grace })}\n`), options)
}

function parseGrace(text: string): number | undefined {
  let said: unknown
  try {
    said = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof said !== 'object' || said === null || !('version' in said) || !('grace' in said))
    return undefined
  const { version, grace } = said
  const fits = typeof grace === 'number' && grace >= LEAST_GRACE && grace <= MOST_GRACE
  return version === 1 && fits ? grace : undefined
}
