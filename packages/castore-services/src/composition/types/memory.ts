import { z } from 'zod'
import type { BlobService } from '../../blob-service.js'
import type { DirectoryService } from '../../directory-service.js'
import { refuseParts } from '../address-parts.js'
import type { ServiceType } from '../service-type.js'

const memory = {
  tag: 'memory',
  schema: z.strictObject({}),
  fromUrl(url: URL) {
    refuseParts(url, ['host', 'path', 'query'])
    return {}
  },
} as const

/** Blobs in the memory of the process: `memory:`. */
export const memoryBlobs: ServiceType<BlobService, object> = {
  ...memory,
  async build() {
    const { MemoryBlobService } = await import('../../blob/memory.js')
    return new MemoryBlobService()
  },
}

/** Directories in the memory of the process: `memory:`. */
export const memoryDirectories: ServiceType<DirectoryService, object> = {
  ...memory,
  async build() {
    const { MemoryDirectoryService } = await import('../../directory/memory.js')
    return new MemoryDirectoryService()
  },
}
