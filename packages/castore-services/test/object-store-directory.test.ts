import { join } from 'node:path'
import { FileObjectStore, MemoryObjectStore } from '@neve/castore-services/object-store'
import { temporaryFolder } from './embedded-fixture.js'
import { directoriesOver } from './object-store-services.js'

directoriesOver('in memory', () => new MemoryObjectStore())
directoriesOver('in files', () => new FileObjectStore({ root: join(temporaryFolder(), 'store') }))
