import { z } from 'zod'
import type { BlobService } from '../../blob-service.js'
import type { DirectoryService } from '../../directory-service.js'
import { refuseParts } from '../address-parts.js'
import type { ServiceType } from '../service-type.js'

/** A type of services in the memory of the process: `memory:`. */
export function memoryType<S>(make: () => Promise<S>): ServiceType<S, object> {
  return {
    tag: 'memory',
    schema: z.strictObject({}),
    fromUrl(url) {
      refuseParts(url, ['host', 'path', 'query'])
      return {}
    },
    build: make,
  }
}

/** Blobs in the memory of the process. */
export const memoryBlobs: ServiceType<BlobService, object> = memoryType(async () => {
  const { MemoryBlobService } = await import('../../blob/memory.js')
  return new MemoryBlobService()
})

/** Directories in the memory of the process. */
export const memoryDirectories: ServiceType<DirectoryService, object> = memoryType(async () => {
  const { MemoryDirectoryService } = await import('../../directory/memory.js')
  return new MemoryDirectoryService()
})
