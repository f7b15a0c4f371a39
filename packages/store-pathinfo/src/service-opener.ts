import { resolve } from 'node:path'
import type { BlobService, DirectoryService } from '@neve/castore-services'
import { EmbeddedBlobService } from '@neve/castore-services/blob/embedded'
import type { Kind } from '@neve/castore-services/composition'
import { EmbeddedDirectoryService } from '@neve/castore-services/directory/embedded'
import { EmbeddedStore } from '@neve/embedded-store'
import { embeddedPath, isEmbeddedAddress } from './embedded-address.js'
import { StoreError } from './errors.js'
import { EmbeddedPathInfoService } from './path-info/embedded.js'
import { MemoryPathInfoService } from './path-info/memory.js'
import type { PathInfoService } from './path-info-service.js'

/** The instance of each kind that a composition file is opened at. */
const ENTRYPOINT = 'default'

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

  /** The services named `default` of a composition file. */
  async composition(path: string): Promise<OpenedCastore> {
    const { BLOB_SERVICE, DIRECTORY_SERVICE, InstanceNotFoundError, readCompositionFile } = await import(
      '@neve/castore-services/composition'
    )
    const composition = await readCompositionFile(path)
    this.#opened.push(() => composition.close())
    const build = async <S>(kind: Kind<S>): Promise<S> => {
      try {
        return await composition.build(kind, ENTRYPOINT)
      } catch (error) {
        if (!(error instanceof InstanceNotFoundError) || error.path.length > 1) throw error
        const message = `${path}: expected a table [${kind.table}.${ENTRYPOINT}], which says where to begin`
        throw new StoreError('invalid-address', message, undefined, { cause: error })
      }
    }
    return { blobs: await build(BLOB_SERVICE), directories: await build(DIRECTORY_SERVICE) }
  }

  /** @throws StoreError `invalid-address` */
  async pathInfos(address: string): Promise<PathInfoService> {
    if (isMemoryAddress(address)) return new MemoryPathInfoService()
    if (isEmbeddedAddress(address))
      return new EmbeddedPathInfoService(await this.engine(embeddedPath(address)))
    const scheme = address.slice(0, address.indexOf(':'))
    throw new StoreError(
      'invalid-address',
      `path infos can be kept in embedded:/path/to/folder or memory:, got an address with scheme ${scheme}`,
    )
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

function isMemoryAddress(address: string): boolean {
  return /^memory:(\/\/)?$/.test(address)
}
