import { join } from 'node:path'
import { objectStoreContract } from '@neve/castore-services/contract'
import { FileObjectStore } from '@neve/castore-services/object-store'
import { temporaryFolder } from './embedded-fixture.js'

objectStoreContract('files', { create: () => new FileObjectStore({ root: join(temporaryFolder(), 'a/b') }) })
objectStoreContract('files, each synced', {
  create: () => new FileObjectStore({ root: temporaryFolder(), syncFilesystem: false }),
})
