import { type ObjectStore, openObjectStore } from '@neve/castore-services/object-store'
import { pathInfoServiceContract } from '@neve/store-pathinfo/contract'
import { ObjectStorePathInfoService } from '@neve/store-pathinfo/object-store'
import { it } from 'vitest'
import { AZURITE } from '../../castore-services/test/servers/azurite.js'
import { FAKE_GCS_SERVER } from '../../castore-services/test/servers/fake-gcs-server.js'
import { describeWithServer, newPrefix } from '../../castore-services/test/servers/object-server.js'
import { VERSITYGW } from '../../castore-services/test/servers/versitygw.js'
import { expectAllSignaturesKept } from './concurrent-signatures.js'

for (const kind of [VERSITYGW, FAKE_GCS_SERVER, AZURITE]) {
  describeWithServer(kind, (server) => {
    const stores = new WeakMap<ObjectStorePathInfoService, ObjectStore>()
    pathInfoServiceContract(`object store at ${kind.name}`, {
      create: async () => {
        const store = await openObjectStore(server().url(newPrefix()), server().options)
        const service = new ObjectStorePathInfoService(store)
        stores.set(service, store)
        return service
      },
      dispose: (service) => stores.get(service)!.close?.(),
    })

    it.skipIf(kind !== VERSITYGW)('what several add to the same one at once is all kept', async () => {
      const url = server().url(newPrefix())
      const opened = await Promise.all(
        Array.from({ length: 6 }, () => openObjectStore(url, server().options)),
      )
      await expectAllSignaturesKept(opened.map((store) => new ObjectStorePathInfoService(store)))
      for (const store of opened) await store.close?.()
    })
  })
}
