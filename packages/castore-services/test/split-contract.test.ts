import type { EmbeddedBlobService } from '@neve/castore-services/blob/embedded'
import { MemoryBlobService } from '@neve/castore-services/blob/memory'
import {
  blobListStoreContract,
  blobServiceContract,
  chunkStoreContract,
} from '@neve/castore-services/contract'
import {
  blobListStoreOf,
  checkedBlobLists,
  chunkStoreOf,
  MemoryBlobListStore,
  MemoryChunkStore,
  splitBlobService,
} from '@neve/castore-services/split'
import { damageBlob, embeddedBlobs } from './split-stores.js'

/** The engine below what a suite tests, to be damaged and closed. */
const below = new WeakMap<object, EmbeddedBlobService>()

function closeBelow(service: object): Promise<void> {
  return below.get(service)!.engine.close()
}

blobServiceContract('split: memory', {
  create: () => splitBlobService({ chunks: new MemoryChunkStore(), lists: new MemoryBlobListStore() }),
  chunkSize: 512 * 1024,
})

blobServiceContract('split: memory, small chunks, checked lists, one at a time', {
  create: () => {
    const chunks = new MemoryChunkStore()
    return splitBlobService({
      chunks,
      lists: checkedBlobLists({ lists: new MemoryBlobListStore(), chunks, verifyPut: true }),
      averageChunkSize: 16384,
      readConcurrency: 1,
      writeConcurrency: 1,
      skipPresent: true,
    })
  },
  chunkSize: 32768,
})

blobServiceContract('split: the halves of a memory service', {
  create: () => {
    const blobs = new MemoryBlobService()
    return splitBlobService({
      chunks: chunkStoreOf(blobs),
      lists: blobListStoreOf(blobs, { verifyPut: true }),
    })
  },
})

blobServiceContract('split: the halves of an embedded service', {
  create: async () => {
    const blobs = await embeddedBlobs()
    const service = splitBlobService({ chunks: chunkStoreOf(blobs), lists: blobListStoreOf(blobs) })
    below.set(service, blobs)
    return service
  },
  dispose: closeBelow,
  chunkSize: 512 * 1024,
  damage: (service, digest) => damageBlob(below.get(service)!, digest),
})

blobServiceContract('split: larger chunks than the embedded service below', {
  create: async () => {
    const blobs = await embeddedBlobs()
    const service = splitBlobService({
      chunks: chunkStoreOf(blobs),
      lists: blobListStoreOf(blobs),
      averageChunkSize: 1024 * 1024,
    })
    below.set(service, blobs)
    return service
  },
  dispose: closeBelow,
  chunkSize: 2 * 1024 * 1024,
  damage: (service, digest) => damageBlob(below.get(service)!, digest),
})

chunkStoreContract('memory', { create: () => new MemoryChunkStore() })

chunkStoreContract('the chunk half of an embedded service', {
  create: async () => {
    const blobs = await embeddedBlobs()
    const store = chunkStoreOf(blobs)
    below.set(store, blobs)
    return store
  },
  dispose: closeBelow,
  damage: (store, digest) => damageBlob(below.get(store)!, digest),
})

blobListStoreContract('memory', {
  create: () => ({ chunks: new MemoryChunkStore(), lists: new MemoryBlobListStore() }),
})

blobListStoreContract('checked', {
  create: () => {
    const chunks = new MemoryChunkStore()
    return { chunks, lists: checkedBlobLists({ lists: new MemoryBlobListStore(), chunks }) }
  },
  knowsChunks: true,
})

blobListStoreContract('verified', {
  create: () => {
    const chunks = new MemoryChunkStore()
    return {
      chunks,
      lists: checkedBlobLists({ lists: new MemoryBlobListStore(), chunks, verifyPut: true }),
    }
  },
  knowsChunks: true,
  verifies: true,
})

blobListStoreContract('the list half of an embedded service', {
  create: async () => {
    const blobs = await embeddedBlobs()
    return {
      chunks: chunkStoreOf(blobs),
      lists: blobListStoreOf(blobs, { verifyPut: true }),
      close: () => blobs.engine.close(),
    }
  },
  knowsChunks: true,
  verifies: true,
  keepsLists: false,
})
