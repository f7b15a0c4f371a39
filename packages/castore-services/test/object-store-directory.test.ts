import { directoryServiceContract } from '@neve/castore-services/contract'
import { ObjectStoreDirectoryService } from '@neve/castore-services/directory/object-store'
import { MemoryObjectStore } from '@neve/castore-services/object-store'
import { damageClosure } from './object-store-fixture.js'

const stores = new WeakMap<ObjectStoreDirectoryService, MemoryObjectStore>()
directoryServiceContract('object store in memory', {
  create: () => new ObjectStoreDirectoryService({ store: new MemoryObjectStore() }),
  capabilities: { putWithChildren: 'refused', ordersEagerly: true },
})
directoryServiceContract('object store in memory, nothing cached', {
  create: () => {
    const store = new MemoryObjectStore()
    const service = new ObjectStoreDirectoryService({ store, cacheSize: 0 })
    stores.set(service, store)
    return service
  },
  capabilities: { putWithChildren: 'refused', ordersEagerly: true },
  damage: (service, digest) => damageClosure(stores.get(service)!, digest),
})
