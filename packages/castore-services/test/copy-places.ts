import { B3Digest } from '@neve/castore-model'
import { ObjectStoreBlobService } from '@neve/castore-services/blob/object-store'
import type { CopyServices } from '@neve/castore-services/copy'
import { ObjectStoreDirectoryService } from '@neve/castore-services/directory/object-store'
import { GrpcBlobService, GrpcDirectoryService } from '@neve/castore-services/grpc'
import { MemoryObjectStore } from '@neve/castore-services/object-store'
import { onTestFinished } from 'vitest'
import { ChunkingBlobService } from './chunking-blob-service.js'
import { memoryServices, rootsOnly } from './copy-fixture.js'
import { embeddedServices } from './embedded-fixture.js'
import { grpcPair } from './grpc-fixture.js'

/** Everything that a closure can be copied from and to. */
export const PLACES: Readonly<Record<string, () => Promise<CopyServices>>> = {
  memory: async () => memoryServices(),
  embedded: async () => embeddedServices(),
  chunking: async () => ({ ...memoryServices(), blobs: new ChunkingBlobService(65536) }),
  'object store': async () => {
    const store = new MemoryObjectStore()
    return {
      blobs: new ObjectStoreBlobService({ store }),
      directories: new ObjectStoreDirectoryService({ store }),
    }
  },
  gRPC: async () => {
    const pair = await grpcPair('unix', memoryServices())
    onTestFinished(() => pair.close())
    return {
      blobs: new GrpcBlobService(pair.channel),
      directories: new GrpcDirectoryService(pair.channel),
    }
  },
  closures: async () => {
    const { blobs, directories } = memoryServices()
    return { blobs, directories: closuresOnly(directories) }
  },
}

/** Finds every directory, but takes whole closures only. */
function closuresOnly(inner: CopyServices['directories']): CopyServices['directories'] {
  const { put } = rootsOnly(inner, B3Digest.EMPTY)
  return {
    put,
    get: (...args) => inner.get(...args),
    getRecursive: (...args) => inner.getRecursive(...args),
    putMultipleStart: (...args) => inner.putMultipleStart(...args),
  }
}

export const place = (name: string): Promise<CopyServices> => PLACES[name]!()
