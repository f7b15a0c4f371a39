import type { Node } from '@neve/castore-model'
import type { ArchiveProgress, IngestArchiveOptions } from '@neve/castore-services/ingest/archive'
import type { StorePath } from '@neve/nix-compat'
import { checkName, pathInfoOf } from './import-path.js'
import type { NarMeasure } from './measure-nar.js'
import { LazyPathInfoService } from './path-info/lazy.js'
import type { PathInfo } from './path-info.js'
import type { Store } from './store.js'

/** Options of {@link Store.importArchive}. */
export interface ImportArchiveOptions extends IngestArchiveOptions {
  /** The name in the store path: an archive has none. */
  readonly name: string
}

/** What {@link Store.importArchive} stored: how much there was to read, and what the tree has. */
export interface ImportedArchive extends ArchiveProgress, NarMeasure {
  /** The root. */
  readonly node: Node
  readonly storePath: StorePath
  readonly pathInfo: PathInfo
}

/** Stores the tree of an archive, then measures its NAR: an archive has its files in another order. */
export async function importArchive(
  store: Store,
  source: AsyncIterable<Uint8Array>,
  options: ImportArchiveOptions,
): Promise<ImportedArchive> {
  const name = checkName(options.name)
  const { signal, onProgress } = options
  if (store.pathInfos instanceof LazyPathInfoService) await store.pathInfos.open()
  // What decompresses is loaded only by what needs it.
  const { ingestArchive } = await import('@neve/castore-services/ingest/archive')
  let progress: ArchiveProgress = { archiveBytes: 0, files: 0, directories: 0, symlinks: 0, bytes: 0 }
  const node = await ingestArchive(store, source, {
    ...options,
    onProgress: (latest) => {
      progress = latest
      onProgress?.(latest)
    },
  })
  const measure = await store.measureNar(node, signal === undefined ? {} : { signal })
  const pathInfo = await store.pathInfos.put(pathInfoOf(name, node, measure))
  return { node, ...progress, ...measure, storePath: pathInfo.storePath, pathInfo }
}
