import { type CallOptions, mapOrdered } from '@neve/castore-services'
import type { StorePath } from '@neve/nix-compat'
import { StoreError } from '../errors.js'
import type { PathInfoService, PathMetadata } from '../path-info-service.js'
import { referencesFirst } from '../references-first.js'

/** Path infos that are asked for at once. */
const LOOKUPS_AT_ONCE = 32

/** Options of {@link referenceClosure}. */
export interface ReferenceClosureOptions extends CallOptions {
  /** Whether what they reference comes too, and so on. Default: true. */
  readonly closure?: boolean | undefined
  /** What to call the place in messages. Default: the source. */
  readonly place?: string | undefined
}

/**
 * Store paths and everything they reference, references before what references them: the order in which they can be put
 * so that whoever sees one finds all of its closure.
 *
 * @throws StoreError `not-found` when one of them is not there; `data-loss` when references form a cycle
 */
export async function referenceClosure(
  pathInfos: PathInfoService,
  roots: Iterable<StorePath>,
  { closure = true, place = 'the source', signal }: ReferenceClosureOptions = {},
): Promise<PathMetadata[]> {
  const found = new Map<string, PathMetadata>()
  const wanted = new Map<string, StorePath | undefined>()
  for (const root of roots) wanted.set(root.toString(), undefined)
  let level: StorePath[] = [...roots]
  const look = async (path: StorePath, stop: AbortSignal): Promise<PathMetadata> => {
    const info = await metadataOf(pathInfos, path.digest, { signal: stop })
    if (info?.storePath.equals(path)) return info
    const by = wanted.get(path.toString())
    const needed = by === undefined ? '' : `, which ${by.toAbsolute()} references,`
    throw new StoreError('not-found', `${path.toAbsolute()}${needed} is not in ${place}`)
  }
  while (level.length > 0) {
    const next: StorePath[] = []
    for await (const info of mapOrdered(level, LOOKUPS_AT_ONCE, look, { signal })) {
      found.set(info.storePath.toString(), info)
      for (const reference of closure ? info.references : []) {
        if (wanted.has(reference.toString())) continue
        wanted.set(reference.toString(), info.storePath)
        next.push(reference)
      }
    }
    level = next
  }
  return referencesFirst(found.values(), 'data-loss')
}

/** What is known of a path without its contents. */
export async function metadataOf(
  pathInfos: Pick<PathInfoService, 'get' | 'metadata'>,
  digest: Uint8Array,
  options: CallOptions = {},
): Promise<PathMetadata | undefined> {
  return pathInfos.metadata === undefined
    ? pathInfos.get(digest, options)
    : pathInfos.metadata(digest, options)
}
