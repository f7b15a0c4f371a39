import { type CallOptions, mapOrdered } from '@neve/castore-services'
import type { StorePath } from '@neve/nix-compat'
import { StoreError } from '../errors.js'
import type { PathInfoService, PathMetadata } from '../path-info-service.js'

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
  return referencesFirst(found)
}

/** What is known of a path without its contents. */
export async function metadataOf(
  pathInfos: PathInfoService,
  digest: Uint8Array,
  options: CallOptions,
): Promise<PathMetadata | undefined> {
  return pathInfos.metadata === undefined
    ? pathInfos.get(digest, options)
    : pathInfos.metadata(digest, options)
}

function referencesFirst(infos: ReadonlyMap<string, PathMetadata>): PathMetadata[] {
  const ordered: PathMetadata[] = []
  const state = new Map<string, 'open' | 'done'>()
  for (const root of infos.values()) {
    const open: { readonly info: PathMetadata; readonly references: Iterator<StorePath> }[] = []
    const enter = (key: string): void => {
      const info = infos.get(key)
      if (info === undefined || state.get(key) === 'done') return
      if (state.get(key) === 'open') throw cycle([...open.map((one) => one.info), info])
      state.set(key, 'open')
      open.push({ info, references: info.references.values() })
    }
    enter(root.storePath.toString())
    for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
      const reference = top.references.next()
      if (reference.done === true) {
        state.set(top.info.storePath.toString(), 'done')
        ordered.push(top.info)
        open.pop()
        // What mentions its own path is no cycle.
      } else if (!reference.value.equals(top.info.storePath)) enter(reference.value.toString())
    }
  }
  return ordered
}

function cycle(way: readonly PathMetadata[]): StoreError {
  const last = way.at(-1)!
  const round = way.slice(way.findIndex((info) => info.storePath.equals(last.storePath)))
  const shown = round.slice(0, 5).map(({ storePath }) => storePath.toString())
  return new StoreError('data-loss', `references form a cycle: ${shown.join(' → ')}`)
}
