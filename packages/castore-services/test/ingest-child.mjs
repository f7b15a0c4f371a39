// Ingests one path in a process of its own, and prints what came of it as JSON.
// Arguments: the path in hex, and the folder of an embedded store, or "memory".
import { EmbeddedBlobService } from '@neve/castore-services/blob/embedded'
import { MemoryBlobService } from '@neve/castore-services/blob/memory'
import { EmbeddedDirectoryService } from '@neve/castore-services/directory/embedded'
import { MemoryDirectoryService } from '@neve/castore-services/directory/memory'
import { ingestPath } from '@neve/castore-services/ingest/filesystem'
import { EmbeddedStore } from '@neve/embedded-store'

const [path, store] = process.argv.slice(2)
const engine = store === 'memory' ? undefined : await EmbeddedStore.open(store)
const services =
  engine === undefined
    ? { blobs: new MemoryBlobService(), directories: new MemoryDirectoryService() }
    : { blobs: new EmbeddedBlobService(engine), directories: new EmbeddedDirectoryService(engine) }
let outcome
try {
  const { node, files, directories } = await ingestPath(services, Buffer.from(path, 'hex'))
  outcome = { digest: node.digest?.toHex(), files, directories }
} catch (error) {
  const failed = error.path === undefined ? undefined : Buffer.from(error.path).toString()
  outcome = { name: error.name, code: error.code, path: failed, message: error.message }
}
await engine?.close()
process.stdout.write(`${JSON.stringify(outcome)}\n`)
