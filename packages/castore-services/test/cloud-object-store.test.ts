import { objectStoreContract } from '@neve/castore-services/contract'
import { openObjectStore } from '@neve/castore-services/object-store'
import { APACHE } from './servers/apache.js'
import { AZURITE } from './servers/azurite.js'
import { FAKE_GCS_SERVER } from './servers/fake-gcs-server.js'
import { describeWithServer, newPrefix } from './servers/object-server.js'
import { VERSITYGW } from './servers/versitygw.js'

for (const kind of [VERSITYGW, FAKE_GCS_SERVER, AZURITE, APACHE]) {
  describeWithServer(kind, (server) => {
    objectStoreContract(kind.name, {
      create: () => openObjectStore(server().url(newPrefix()), server().options),
      atomicPutIfAbsent: kind !== APACHE,
      // It announces the length of one file and sends another that came in between.
      atomicReplace: kind !== APACHE,
    })
  })
}
