import { ObjectStoreBlobService } from '@neve/castore-services/blob/object-store'
import { blobServiceContract, directoryServiceContract } from '@neve/castore-services/contract'
import { ObjectStoreDirectoryService } from '@neve/castore-services/directory/object-store'
import type { ObjectStore } from '@neve/castore-services/object-store'
import { damageBlob, damageClosure, WatchedStore } from './object-store-fixture.js'

type Open = () => Promise<ObjectStore> | ObjectStore

/** Services and the store that each works on, which goes with it. */
class Opened<S extends { close(): Promise<void> }> {
  readonly #stores = new WeakMap<S, WatchedStore>()

  constructor(
    readonly open: Open,
    readonly make: (store: ObjectStore) => S,
  ) {}

  async create(): Promise<S> {
    const store = new WatchedStore(await this.open())
    const service = this.make(store)
    this.#stores.set(service, store)
    return service
  }

  store(service: S): WatchedStore {
    return this.#stores.get(service)!
  }

  async dispose(service: S): Promise<void> {
    await service.close()
    await this.store(service).inner.close?.()
  }
}

/** Registers the suite of blob services, over stores of one kind. */
export function blobsOver(name: string, open: Open): void {
  const opened = new Opened(open, (store) => new ObjectStoreBlobService({ store }))
  blobServiceContract(`object store ${name}`, {
    create: () => opened.create(),
    dispose: (service) => opened.dispose(service),
    chunkSize: 524288,
    capabilities: { defaultChunks: true },
    damage: (service, digest) => damageBlob(opened.store(service).inner, digest),
    footprint: (service) => opened.store(service).count('put') + opened.store(service).count('putIfAbsent'),
  })
}

/** Registers the suite of directory services, over stores of one kind. */
export function directoriesOver(name: string, open: Open): void {
  const capabilities = { putWithChildren: 'refused', ordersEagerly: true } as const
  const usual = new Opened(open, (store) => new ObjectStoreDirectoryService({ store }))
  directoryServiceContract(`object store ${name}`, {
    create: () => usual.create(),
    dispose: (service) => usual.dispose(service),
    capabilities,
  })
  // What is damaged behind its back must be read again to be seen.
  const uncached = new Opened(open, (store) => new ObjectStoreDirectoryService({ store, cacheSize: 0 }))
  directoryServiceContract(`object store ${name}, nothing cached`, {
    create: () => uncached.create(),
    dispose: (service) => uncached.dispose(service),
    capabilities,
    damage: (service, digest) => damageClosure(uncached.store(service).inner, digest),
  })
}
