import type { StorePath } from '@neve/nix-compat'
import { checkName, pathInfoOf } from './import-path.js'
import { type IngestedNar, type IngestNarOptions, ingestNar, type NarTarget } from './ingest-nar.js'
import { LazyPathInfoService } from './path-info/lazy.js'
import type { PathInfo } from './path-info.js'
import { type PlainNarOptions, plainNar } from './plain-nar.js'
import type { Store } from './store.js'

/** Options of {@link Store.ingestNar}: those of `ingestNar`, and how the NAR is compressed. */
export interface IngestCompressedNarOptions extends IngestNarOptions, PlainNarOptions {}

/** Options of {@link Store.importNar}. */
export interface ImportNarOptions extends IngestCompressedNarOptions {
  /** The name in the store path: a NAR has none. */
  readonly name: string
}

/** What {@link Store.importNar} stored. */
export interface ImportedNar extends IngestedNar {
  readonly storePath: StorePath
  readonly pathInfo: PathInfo
}

/** As {@link ingestNar}, of a NAR that may be compressed. */
export function ingestCompressedNar(
  target: NarTarget,
  source: AsyncIterable<Uint8Array>,
  options: IngestCompressedNarOptions = {},
): Promise<IngestedNar> {
  const { compression, signal } = options
  return ingestNar(target, plainNar(source, { compression, signal }), options)
}

/** Stores the tree in a NAR, then its path info under the store path that Nix gives the tree. */
export async function importNar(
  store: Store,
  source: AsyncIterable<Uint8Array>,
  options: ImportNarOptions,
): Promise<ImportedNar> {
  const name = checkName(options.name)
  if (store.pathInfos instanceof LazyPathInfoService) await store.pathInfos.open()
  const ingested = await ingestCompressedNar(store, source, options)
  const { node, ...measure } = ingested
  const { signal } = options
  const pathInfo = await store.pathInfos.put(pathInfoOf(name, node, measure), { signal })
  return { ...ingested, storePath: pathInfo.storePath, pathInfo }
}
