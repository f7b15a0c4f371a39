import { type CallOptions, mapOrdered } from '@neve/castore-services'
import type { StorePath } from '@neve/nix-compat'
import { StoreError } from './errors.js'
import type { PathInfo } from './path-info.js'
import type { PathInfoService } from './path-info-service.js'
import { referencesFirst } from './references-first.js'

/** Looked up at once. */
const LOOKUPS = 32

/**
 * The path infos of store paths and of all that they reference, references first.
 *
 * @throws StoreError `not-found` when one of them is not in the store
 */
export async function closureOf(
  pathInfos: Pick<PathInfoService, 'get'>,
  roots: Iterable<StorePath>,
  options: CallOptions = {},
): Promise<PathInfo[]> {
  const found: PathInfo[] = []
  const by = new Map<string, StorePath | undefined>()
  const look = async (path: StorePath, signal: AbortSignal): Promise<PathInfo> => {
    const info = await pathInfos.get(path.digest, { signal })
    if (info?.storePath.equals(path)) return info
    const referrer = by.get(path.toString())
    const which = referrer === undefined ? '' : `, which ${referrer.toAbsolute()} references,`
    throw new StoreError('not-found', `${path.toAbsolute()}${which} is not in the store`)
  }
  let level = [...roots].filter((path) => isNew(by, path, undefined))
  while (level.length > 0) {
    const next: StorePath[] = []
    for await (const info of mapOrdered(level, LOOKUPS, look, options)) {
      found.push(info)
      next.push(...info.references.filter((reference) => isNew(by, reference, info.storePath)))
    }
    level = next
  }
  return referencesFirst(found)
}

function isNew(
  by: Map<string, StorePath | undefined>,
  path: StorePath,
  referrer: StorePath | undefined,
): boolean {
  if (by.has(path.toString())) return false
  by.set(path.toString(), referrer)
  return true
}
