import type { BlobService, DirectoryService } from '@neve/castore-services'
import { EmbeddedBlobService, engineOf } from '@neve/castore-services/blob/embedded'
import { EmbeddedDirectoryService } from '@neve/castore-services/directory/embedded'
import type { EmbeddedStore } from '@neve/embedded-store'
import { embeddedPath } from './embedded-address.js'
import { StoreError } from './errors.js'
import { EmbeddedPathInfoService } from './path-info/embedded.js'
import { LazyPathInfoService } from './path-info/lazy.js'
import type { PathInfoService } from './path-info-service.js'
import { type ComposedStore, type OpenStoreOptions, ServiceOpener } from './service-opener.js'
import { Store } from './store.js'
import { defaultStorePath } from './store-location.js'

/** A store of which everything lies in one embedded store. */
export interface LocalStore extends Store {
  readonly engine: EmbeddedStore
}

/** What a store is to be made of. Services that are given as objects stay open when the store is closed. */
export interface StoreSources extends OpenStoreOptions {
  /**
   * A composition file, whose services named `root` or `default` are taken (spec 04 section 3). Then `blobs` and
   * `directories` cannot be given; `pathInfos` goes before what the file says of them.
   */
  readonly config?: string | undefined
  /** An address or a service. Default: the default embedded store. */
  readonly blobs?: string | BlobService | undefined
  /** An address or a service. Default: the default embedded store. */
  readonly directories?: string | DirectoryService | undefined
  /**
   * An address or a service. Default: what the composition file says; else the embedded store that has both blobs
   * and directories; where they are elsewhere, the default embedded store, opened when it is first needed.
   */
  readonly pathInfos?: string | PathInfoService | undefined
}

/**
 * Opens a whole store: blobs, directories and path infos, all in one embedded store.
 *
 * @param address `embedded:` and a folder, or a folder. Default: `$NEVE_STORE`, else `/var/lib/neve` for root, else
 *   `$XDG_STATE_HOME/neve` (`~/.local/state/neve`)
 * @throws StoreError `invalid-address`; EmbeddedStoreError
 */
export function openStore(address?: string, options?: OpenStoreOptions): Promise<LocalStore>
/**
 * Opens a store over services of any kind. Addresses are those of spec 04 section 5, `embedded:/path/to/folder` and
 * folders; both kinds in one folder are one embedded store.
 *
 * @throws StoreError `invalid-address`; EmbeddedStoreError; errors of the composition and of the services
 */
export function openStore(sources: StoreSources): Promise<Store>
export async function openStore(
  from: string | StoreSources | undefined,
  options: OpenStoreOptions = {},
): Promise<Store> {
  if (typeof from === 'object') return openFrom(from)
  const opener = new ServiceOpener(options)
  const engine = await opener.engine(from === undefined ? defaultStorePath() : embeddedPath(from))
  return new Store({
    blobs: new EmbeddedBlobService(engine),
    directories: new EmbeddedDirectoryService(engine),
    pathInfos: new EmbeddedPathInfoService(engine),
    close: () => opener.close(),
  })
}

async function openFrom(sources: StoreSources): Promise<Store> {
  const opener = new ServiceOpener(sources)
  try {
    const opened = await openSources(opener, sources)
    const pathInfos = await openPathInfos(opener, sources, opened)
    return new Store({ ...opened, pathInfos, close: () => opener.close() })
  } catch (error) {
    await opener.close().catch(() => {})
    throw error
  }
}

async function openSources(
  opener: ServiceOpener,
  { config, blobs, directories }: StoreSources,
): Promise<ComposedStore> {
  if (config !== undefined) {
    if (blobs !== undefined || directories !== undefined) {
      const other = blobs === undefined ? 'directories' : 'blobs'
      throw new StoreError('invalid-address', `config and ${other} cannot be given together`)
    }
    return opener.composition(config)
  }
  return {
    blobs: typeof blobs === 'object' ? blobs : await opener.blobs(blobs ?? defaultStorePath()),
    directories:
      typeof directories === 'object'
        ? directories
        : await opener.directories(directories ?? defaultStorePath()),
    pathInfos: undefined,
  }
}

async function openPathInfos(
  opener: ServiceOpener,
  { pathInfos }: StoreSources,
  { blobs, directories, pathInfos: composed }: ComposedStore,
): Promise<PathInfoService> {
  if (typeof pathInfos === 'object') return pathInfos
  if (typeof pathInfos === 'string') return opener.pathInfos(pathInfos, { blobs, directories })
  if (composed !== undefined) return composed
  const engine = engineOf(blobs)
  if (
    engine !== undefined &&
    directories instanceof EmbeddedDirectoryService &&
    directories.engine === engine
  ) {
    return new EmbeddedPathInfoService(engine)
  }
  return new LazyPathInfoService(() => opener.pathInfos(defaultStorePath(), { blobs, directories }))
}
