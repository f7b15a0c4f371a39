import { resolve } from 'node:path'
import type { BlobService, DirectoryService } from '@neve/castore-services'
import { EmbeddedBlobService } from '@neve/castore-services/blob/embedded'
import { EmbeddedDirectoryService } from '@neve/castore-services/directory/embedded'
import { EmbeddedStore } from '@neve/embedded-store'
import { embeddedPath, isEmbeddedAddress } from './embedded-address.js'
import { EmbeddedPathInfos } from './embedded-path-infos.js'
import { StoreError } from './errors.js'
import { MemoryPathInfos } from './memory-path-infos.js'
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
    if (!isMemoryAddress(address)) throw unknownAddress(address)
    const { MemoryBlobService } = await import('@neve/castore-services/blob/memory')
    return this.#closing<BlobService>(new MemoryBlobService())
  }

  /** As {@link blobs}. */
  async directories(address: string): Promise<DirectoryService> {
    if (isEmbeddedAddress(address)) {
      return new EmbeddedDirectoryService(await this.engine(embeddedPath(address)))
    }
    if (!isMemoryAddress(address)) throw unknownAddress(address)
    const { MemoryDirectoryService } = await import('@neve/castore-services/directory/memory')
    return this.#closing<DirectoryService>(new MemoryDirectoryService())
  }

  /** The services named `default` of a composition file. */
  async composition(path: string): Promise<OpenedCastore> {
    throw unknownAddress(path)
  }

  /** @throws StoreError `invalid-address` */
  async pathInfos(address: string): Promise<PathInfoService> {
    if (isMemoryAddress(address)) return new MemoryPathInfos()
    if (isEmbeddedAddress(address)) return new EmbeddedPathInfos(await this.engine(embeddedPath(address)))
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

function unknownAddress(address: string): StoreError {
  const scheme = address.slice(0, address.indexOf(':'))
  return new StoreError(
    'invalid-address',
    `expected embedded:/path/to/folder or memory:, got scheme ${scheme}`,
  )
}
