import { ObjectStoreBlobService } from '@neve/castore-services/blob/object-store'
import { blobServiceContract } from '@neve/castore-services/contract'
import { MemoryObjectStore } from '@neve/castore-services/object-store'
import { damageBlob } from './object-store-fixture.js'

const stores = new WeakMap<ObjectStoreBlobService, MemoryObjectStore>()
blobServiceContract('object store in memory', {
  create: () => {
    const store = new MemoryObjectStore()
    const service = new ObjectStoreBlobService({ store })
    stores.set(service, store)
    return service
  },
  chunkSize: 524288,
  capabilities: { defaultChunks: true },
  damage: (service, digest) => damageBlob(stores.get(service)!, digest),
})
