import type { BlobService, DirectoryService } from '@neve/castore-services'
import { EmbeddedBlobService, engineOf } from '@neve/castore-services/blob/embedded'
import { EmbeddedDirectoryService } from '@neve/castore-services/directory/embedded'
import type { EmbeddedStore } from '@neve/embedded-store'
import { embeddedPath, isCompositionFile, isEmbeddedAddress } from './embedded-address.js'
import { StoreError } from './errors.js'
import { EmbeddedPathInfoService } from './path-info/embedded.js'
import { LazyPathInfoService } from './path-info/lazy.js'
import type { PathInfoService } from './path-info-service.js'
import {
  type ComposedStore,
  type OpenedCastore,
  type OpenStoreOptions,
  ServiceOpener,
} from './service-opener.js'
import { Store } from './store.js'
import { defaultStoreAddress } from './store-location.js'

/** A store of which everything lies in one embedded store. */
export interface LocalStore extends Store {
  readonly engine: EmbeddedStore
}

/** Options of {@link openStore} with an address. */
export interface OpenWholeStoreOptions extends OpenStoreOptions {
  /**
   * Where contents go that a binary cache (`nix+https:`) is asked for: its store has no blobs and directories of its own.
   * They stay the caller's. Default: a temporary embedded store, which is removed when the store is closed.
   */
  readonly contents?: OpenedCastore | undefined
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
 * Opens a whole store: blobs, directories and path infos, all by one address.
 *
 * - `embedded:` and a folder, or a folder: an embedded store
 * - `grpc+unix:/run/neve.sock`, `grpc+http://[::1]:8000`, `grpc+https://…`: a daemon, which measures NARs, too
 * - `objectstore+s3://bucket/prefix` and its like, `objectstore+file:///path`: one bucket that has everything
 * - `nix+https://cache.nixos.org?…`: a binary cache, read-only; see {@link OpenWholeStoreOptions.contents}
 * - `memory:`, and any other address that is good for all three kinds of services
 * - the name of a composition file, which ends in `.toml`: as `{ config }`
 *
 * @param address default: `$NEVE_STORE`, else the embedded store in `/var/lib/neve` for root, else in
 *   `$XDG_STATE_HOME/neve` (`~/.local/state/neve`)
 * @throws StoreError `invalid-address`; EmbeddedStoreError; errors of the composition and of the services
 */
export function openStore(address?: string, options?: OpenWholeStoreOptions): Promise<Store>
/**
 * Opens a store over services of any kind. Addresses are those of spec 04 section 5, `embedded:/path/to/folder` and
 * folders; both kinds in one folder are one embedded store.
 *
 * @throws StoreError `invalid-address`; EmbeddedStoreError; errors of the composition and of the services
 */
export function openStore(sources: StoreSources): Promise<Store>
export async function openStore(
  from: string | StoreSources | undefined,
  options: OpenWholeStoreOptions = {},
): Promise<Store> {
  if (typeof from === 'object') return openFrom(from)
  const address = from ?? defaultStoreAddress()
  if (isEmbeddedAddress(address)) {
    return isCompositionFile(address)
      ? openFrom({ ...options, config: address })
      : openLocalStore(address, options)
  }
  const opener = new ServiceOpener(options)
  try {
    const contents = isBinaryCache(address)
      ? (options.contents ?? (await opener.scratch()))
      : { blobs: await opener.blobs(address), directories: await opener.directories(notOfBlobs(address)) }
    const pathInfos = await opener.pathInfos(notOfBlobs(address), contents)
    return new Store({ ...contents, pathInfos, close: () => opener.close() })
  } catch (error) {
    await opener.close().catch(() => {})
    throw error
  }
}

/**
 * Opens a whole store that lies in one embedded store.
 *
 * @param address `embedded:` and a folder, or a folder. Default: as for {@link openStore}
 * @throws StoreError `invalid-address`; EmbeddedStoreError
 */
export async function openLocalStore(
  address: string = defaultStoreAddress(),
  options: OpenStoreOptions = {},
): Promise<LocalStore> {
  const opener = new ServiceOpener(options)
  const engine = await opener.engine(embeddedPath(address))
  const store = new Store({
    blobs: new EmbeddedBlobService(engine),
    directories: new EmbeddedDirectoryService(engine),
    pathInfos: new EmbeddedPathInfoService(engine),
    close: () => opener.close(),
  })
  return store as LocalStore
}

function isBinaryCache(address: string): boolean {
  return /^nix\+/.test(address)
}

/** How blobs of an object store are cut is nothing to directories and path infos. */
function notOfBlobs(address: string): string {
  if (!address.startsWith('objectstore+')) return address
  const [place = '', query] = address.split('?')
  const options = (query ?? '').split('&').filter((option) => !/^(avg_chunk_size=.*)?$/.test(option))
  return options.length === 0 ? place : `${place}?${options.join('&')}`
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
    blobs: typeof blobs === 'object' ? blobs : await opener.blobs(blobs ?? defaultStoreAddress()),
    directories:
      typeof directories === 'object'
        ? directories
        : await opener.directories(directories ?? defaultStoreAddress()),
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
  return new LazyPathInfoService(() => opener.pathInfos(defaultStoreAddress(), { blobs, directories }))
}
