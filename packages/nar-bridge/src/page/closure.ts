import { compareBytes } from '@neve/castore-model'
import { mapOrdered } from '@neve/castore-services'
import type { StorePath } from '@neve/nix-compat'
import { metadataOf, type PathInfo, type PathMetadata } from '@neve/store-pathinfo'
import type { BridgeStore } from '../bridge-options.js'

/** Larger closures are not followed to their end. */
const MOST = 20_000
const LOOKUPS = 32

/** What a store path needs, itself among it. */
export interface Closure {
  /** The largest first. */
  readonly paths: readonly Pick<PathMetadata, 'storePath' | 'narSize'>[]
  /** Sum of their NAR sizes in bytes. */
  readonly size: bigint
  /** Referenced, and not in this store. */
  readonly missing: readonly StorePath[]
  /** Whether there are more than were followed. */
  readonly cut: boolean
}

/** Follows references, as far as the store has them. */
export async function closureOf(
  { pathInfos }: Pick<BridgeStore, 'pathInfos'>,
  root: PathInfo,
  signal: AbortSignal,
): Promise<Closure> {
  const paths: Pick<PathMetadata, 'storePath' | 'narSize'>[] = [root]
  const missing: StorePath[] = []
  const seen = new Set([root.storePath.toString()])
  const look = async (path: StorePath, stop: AbortSignal) => {
    const info = await metadataOf(pathInfos, path.digest, { signal: stop })
    return { path, info: info?.storePath.equals(path) ? info : undefined }
  }
  for (let level: readonly Pick<PathMetadata, 'references'>[] = [root]; level.length > 0; ) {
    const wanted: StorePath[] = []
    for (const reference of level.flatMap(({ references }) => references)) {
      if (seen.has(reference.toString()) || seen.size >= MOST) continue
      seen.add(reference.toString())
      wanted.push(reference)
    }
    const next: PathMetadata[] = []
    for await (const { path, info } of mapOrdered(wanted, LOOKUPS, look, { signal })) {
      if (info === undefined) missing.push(path)
      else {
        next.push(info)
        paths.push({ storePath: info.storePath, narSize: info.narSize })
      }
    }
    level = next
  }
  paths.sort(
    (a, b) => compareSizes(b.narSize, a.narSize) || compareBytes(a.storePath.digest, b.storePath.digest),
  )
  const size = paths.reduce((sum, { narSize }) => sum + narSize, 0n)
  return { paths, size, missing, cut: seen.size >= MOST }
}

function compareSizes(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0
}
