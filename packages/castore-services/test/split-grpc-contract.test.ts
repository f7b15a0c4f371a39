import {
  blobListStoreContract,
  blobServiceContract,
  chunkStoreContract,
} from '@neve/castore-services/contract'
import { GrpcBlobListStore, GrpcChunkStore } from '@neve/castore-services/grpc'
import { blobListStoreOf, chunkStoreOf, splitBlobService } from '@neve/castore-services/split'
import { memoryHalves, splitServer } from './split-server.js'
import { damageBlob, embeddedBlobs } from './split-stores.js'

/** What to do when a service, or a store, is done with. */
const endings = new WeakMap<object, () => Promise<void>>()
/** What damages a service's blobs behind its back. */
const damages = new WeakMap<object, (digest: Parameters<typeof damageBlob>[1]) => Promise<void>>()

const dispose = (service: object) => endings.get(service)!()

blobServiceContract('10#6 both halves over gRPC: memory', {
  create: async () => {
    const server = await splitServer(memoryHalves())
    const channel = await server.channel()
    const service = splitBlobService({
      chunks: new GrpcChunkStore(channel),
      lists: new GrpcBlobListStore(channel),
      backend: channel.name,
    })
    endings.set(service, () => server.close())
    return service
  },
  dispose,
  chunkSize: 512 * 1024,
})

blobServiceContract('10#6 both halves over gRPC: an embedded service', {
  create: async () => {
    const blobs = await embeddedBlobs()
    const server = await splitServer({ chunks: chunkStoreOf(blobs), lists: blobListStoreOf(blobs) })
    const channel = await server.channel()
    const service = splitBlobService({
      chunks: new GrpcChunkStore(channel),
      lists: new GrpcBlobListStore(channel),
    })
    endings.set(service, async () => {
      await server.close()
      await blobs.engine.close()
    })
    damages.set(service, (digest) => damageBlob(blobs, digest))
    return service
  },
  dispose,
  chunkSize: 512 * 1024,
  damage: (service, digest) => damages.get(service)!(digest),
})

chunkStoreContract('gRPC', {
  create: async () => {
    const blobs = await embeddedBlobs()
    const server = await splitServer({ chunks: chunkStoreOf(blobs), lists: blobListStoreOf(blobs) })
    const store = new GrpcChunkStore(await server.channel())
    endings.set(store, async () => {
      await server.close()
      await blobs.engine.close()
    })
    damages.set(store, (digest) => damageBlob(blobs, digest))
    return store
  },
  dispose,
  damage: (store, digest) => damages.get(store)!(digest),
})

blobListStoreContract('gRPC', {
  create: async () => {
    const server = await splitServer({ ...memoryHalves(), verifyPut: true })
    const channel = await server.channel()
    return {
      chunks: new GrpcChunkStore(channel),
      lists: new GrpcBlobListStore(channel),
      close: () => server.close(),
    }
  },
  knowsChunks: true,
  verifies: true,
})
