import { setImmediate } from 'node:timers/promises'
import type { PathInfo, PathInfoService } from '@neve/store-pathinfo'

/** How many path infos are looked at for one page; then the reader may ask for more. */
const MOST_EXAMINED = 20_000
/** After so many, others get their turn. */
const TURN = 500

/** What was found, and where to go on. */
export interface Scanned {
  readonly found: readonly PathInfo[]
  /** The digest after which the next page begins; undefined at the end of the store. */
  readonly next: Uint8Array | undefined
  /** Whether it stopped before the page was full, because it had looked at enough. */
  readonly stopped: boolean
}

/**
 * A page of the path infos that match, in the order of their digests. Never holds more than the page.
 *
 * @param limit of the page
 */
export async function scanPathInfos(
  pathInfos: Pick<PathInfoService, 'list'>,
  matches: ((info: PathInfo) => boolean) | undefined,
  { limit, after, signal }: { limit: number; after: Uint8Array | undefined; signal: AbortSignal },
): Promise<Scanned> {
  const most = matches === undefined ? limit + 1 : MOST_EXAMINED
  const found: PathInfo[] = []
  let examined = 0
  let last: Uint8Array | undefined
  for await (const info of pathInfos.list({ after, limit: most, signal })) {
    if (matches?.(info) !== false) {
      if (found.length === limit) return { found, next: found.at(-1)!.storePath.digest, stopped: false }
      found.push(info)
    }
    last = info.storePath.digest
    if (++examined % TURN === 0) await setImmediate(undefined, { signal })
  }
  const stopped = examined === most
  return { found, next: stopped ? last : undefined, stopped }
}
