import { MemoryBlobService } from '@neve/castore-services/blob/memory'
import { blobServiceContract } from '@neve/castore-services/contract'

blobServiceContract('memory', { create: () => new MemoryBlobService() })
