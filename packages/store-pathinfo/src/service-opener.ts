import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { BlobService, DirectoryService } from '@neve/castore-services'
import { EmbeddedBlobService } from '@neve/castore-services/blob/embedded'
import type { Kind } from '@neve/castore-services/composition'
import { EmbeddedDirectoryService } from '@neve/castore-services/directory/embedded'
import { EmbeddedStore } from '@neve/embedded-store'
import { embeddedPath, isEmbeddedAddress } from './embedded-address.js'
import { StoreError } from './errors.js'
import { EmbeddedPathInfoService } from './path-info/embedded.js'
import type { PathInfoService } from './path-info-service.js'

/** How embedded stores are opened. */
export interface OpenStoreOptions {
  /** Make embedded stores where there are none. Default: true, unless `readOnly`. */
  readonly create?: boolean | undefined
  /** Refuse every write to embedded stores. Default: false. */
  readonly readOnly?: boolean | undefined
}

/** Blobs and directories that were opened together. */
export interface OpenedCastore {
  readonly blobs: BlobService
  readonly directories: DirectoryService
}

/** What a composition file has. */
export interface ComposedStore extends OpenedCastore {
  /** Undefined when the file says nothing of path infos. */
  readonly pathInfos: PathInfoService | undefined
}

/** Opens services by their addresses, one engine a folder, and closes what it opened, the last first. */
export class ServiceOpener {
  readonly #options: OpenStoreOptions
  readonly #engines = new Map<string, Promise<EmbeddedStore>>()
  readonly #opened: (() => Promise<void> | undefined)[] = []

  constructor(options: OpenStoreOptions) {
    this.#options = options
  }

  /** The engine of a folder: the same for all that is opened here, so that they can be written in one commit. */
  engine(path: string): Promise<EmbeddedStore> {
    const key = resolve(path)
    let engine = this.#engines.get(key)
    if (engine === undefined) {
      engine = this.#openEngine(path)
      this.#engines.set(key, engine)
    }
    return engine
  }

  async #openEngine(path: string): Promise<EmbeddedStore> {
    const { create, readOnly } = this.#options
    const engine = await EmbeddedStore.open(path, {
      ...(create === undefined ? {} : { create }),
      ...(readOnly === undefined ? {} : { readOnly }),
    })
    this.#opened.push(() => engine.close())
    return engine
  }

  /** @throws StoreError `invalid-address`; errors of the composition and of the service */
  async blobs(address: string): Promise<BlobService> {
    if (isEmbeddedAddress(address)) return new EmbeddedBlobService(await this.engine(embeddedPath(address)))
    const { blobServiceFromAddress } = await import('@neve/castore-services/composition')
    return this.#closing(await blobServiceFromAddress(address))
  }

  /** As {@link blobs}. */
  async directories(address: string): Promise<DirectoryService> {
    if (isEmbeddedAddress(address)) {
      return new EmbeddedDirectoryService(await this.engine(embeddedPath(address)))
    }
    const { directoryServiceFromAddress } = await import('@neve/castore-services/composition')
    return this.#closing(await directoryServiceFromAddress(address))
  }

  /**
   * What a composition file makes of each kind: its instance `root`, else `default`.
   *
   * @throws StoreError `invalid-address` when there is neither of blobs or directories
   */
  async composition(path: string): Promise<ComposedStore> {
    const [{ BLOB_SERVICE, DIRECTORY_SERVICE, readCompositionFile }, { PATH_INFO_SERVICE, storeRegistry }] =
      await Promise.all([import('@neve/castore-services/composition'), import('./composition/index.js')])
    const composition = await readCompositionFile(path, { registry: storeRegistry() })
    this.#opened.push(() => composition.close())
    const build = async <S>(kind: Kind<S>): Promise<S> => {
      const name = composition.entrypoint(kind)
      if (name !== undefined) return await composition.build(kind, name)
      const message = `${path}: expected a table [${kind.table}.default], which says where to begin`
      throw new StoreError('invalid-address', message)
    }
    return {
      blobs: await build(BLOB_SERVICE),
      directories: await build(DIRECTORY_SERVICE),
      pathInfos:
        composition.entrypoint(PATH_INFO_SERVICE) === undefined ? undefined : await build(PATH_INFO_SERVICE),
    }
  }

  /**
   * As {@link blobs}.
   *
   * @param contents what `&root` is in the address: where a binary cache puts what it is asked for
   */
  async pathInfos(address: string, contents: OpenedCastore): Promise<PathInfoService> {
    if (isEmbeddedAddress(address)) {
      return new EmbeddedPathInfoService(await this.engine(embeddedPath(address)))
    }
    const [{ BLOB_SERVICE, Composition, DIRECTORY_SERVICE, Kind }, { PATH_INFO_SERVICE, storeRegistry }] =
      await Promise.all([import('@neve/castore-services/composition'), import('./composition/index.js')])
    const registry = storeRegistry()
    // What is no address would be taken for the name of an instance.
    registry.fromUrl(PATH_INFO_SERVICE, address)
    const composition = new Composition({ registry })
    // Whoever opened the contents closes them.
    const close = (): void => {}
    const { blobs, directories } = contents
    composition.extend(new Kind<BlobService>({ ...BLOB_SERVICE, close }), {
      root: { build: async () => blobs },
    })
    composition.extend(new Kind<DirectoryService>({ ...DIRECTORY_SERVICE, close }), {
      root: { build: async () => directories },
    })
    this.#opened.push(() => composition.close())
    return composition.open(PATH_INFO_SERVICE, address)
  }

  /** Blobs and directories that are gone when this is closed. */
  async scratch(): Promise<OpenedCastore> {
    const folder = await mkdtemp(join(tmpdir(), 'neve-contents-'))
    this.#opened.push(() => rm(folder, { recursive: true, force: true }))
    const engine = await EmbeddedStore.open(join(folder, 'store'))
    this.#opened.push(() => engine.close())
    return { blobs: new EmbeddedBlobService(engine), directories: new EmbeddedDirectoryService(engine) }
  }

  #closing<T extends BlobService | DirectoryService>(service: T): T {
    this.#opened.push(() => service.close?.())
    return service
  }

  /** Closes everything, whatever fails; throws the first failure. */
  async close(): Promise<void> {
    let failure: { readonly error: unknown } | undefined
    for (let close = this.#opened.pop(); close !== undefined; close = this.#opened.pop()) {
      try {
        await close()
      } catch (error) {
        failure ??= { error }
      }
    }
    if (failure !== undefined) throw failure.error
  }
}
