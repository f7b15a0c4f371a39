import { join } from 'node:path'
import { FileObjectStore, MemoryObjectStore } from '@neve/castore-services/object-store'
import { temporaryFolder } from './embedded-fixture.js'
import { blobsOver } from './object-store-services.js'

blobsOver('in memory', () => new MemoryObjectStore())
blobsOver('in files', () => new FileObjectStore({ root: join(temporaryFolder(), 'store') }))
