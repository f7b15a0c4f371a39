import { openObjectStore } from '@neve/castore-services/object-store'
import { directoriesOver } from './object-store-services.js'
import { APACHE } from './servers/apache.js'
import { AZURITE } from './servers/azurite.js'
import { FAKE_GCS_SERVER } from './servers/fake-gcs-server.js'
import { describeWithServer, newPrefix } from './servers/object-server.js'
import { VERSITYGW } from './servers/versitygw.js'

for (const kind of [VERSITYGW, FAKE_GCS_SERVER, AZURITE, APACHE]) {
  describeWithServer(kind, (server) => {
    directoriesOver(`at ${kind.name}`, () => openObjectStore(server().url(newPrefix()), server().options))
  })
}
