import { blobServiceContract } from '@neve/castore-services/contract'
import { ChunkingBlobService } from './chunking-blob-service.js'

blobServiceContract('chunked reader and writer base', {
  create: () => new ChunkingBlobService(65536),
  chunkSize: 131072,
  damage: (service, digest) => service.damage(digest),
})
