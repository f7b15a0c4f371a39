import { MemoryBlobService } from '@neve/castore-services/blob/memory'
import { blobServiceContract, directoryServiceContract } from '@neve/castore-services/contract'
import { MemoryDirectoryService } from '@neve/castore-services/directory/memory'
import { GrpcBlobService, type GrpcChannelOptions, GrpcDirectoryService } from '@neve/castore-services/grpc'
import type { GrpcServerLimits } from '@neve/castore-services/grpc/server'
import { type EmbeddedServices, embeddedServices } from './embedded-fixture.js'
import { type GrpcPair, grpcPair, type Transport } from './grpc-fixture.js'

const SMALL_WINDOWS = { window: 64 * 1024 }

const VARIANTS: readonly [string, Transport, GrpcChannelOptions, GrpcServerLimits][] = [
  ['unix socket', 'unix', {}, {}],
  ['TCP', 'tcp', {}, {}],
  ['tiny windows', 'unix', SMALL_WINDOWS, SMALL_WINDOWS],
]

for (const [name, transport, options, limits] of VARIANTS) {
  const pairs = new Map<unknown, GrpcPair>()
  const dispose = async (service: unknown) => await pairs.get(service)?.close()

  blobServiceContract(`gRPC to memory over ${name}`, {
    async create() {
      const pair = await grpcPair(transport, { blobs: new MemoryBlobService(), limits }, options)
      const service = new GrpcBlobService(pair.channel)
      pairs.set(service, pair)
      return service
    },
    dispose,
  })

  directoryServiceContract(`gRPC to memory over ${name}`, {
    async create() {
      const pair = await grpcPair(transport, { directories: new MemoryDirectoryService(), limits }, options)
      const service = new GrpcDirectoryService(pair.channel)
      pairs.set(service, pair)
      return service
    },
    dispose,
    capabilities: { putWithChildren: 'refused' },
  })
}

/** A server over an embedded store, in front of which a client stands. */
const embedded = new Map<unknown, { readonly pair: GrpcPair; readonly services: EmbeddedServices }>()

async function overEmbedded<S>(make: (pair: GrpcPair) => S): Promise<S> {
  const services = await embeddedServices()
  const pair = await grpcPair('unix', services)
  const service = make(pair)
  embedded.set(service, { pair, services })
  return service
}

async function disposeEmbedded(service: unknown): Promise<void> {
  const { pair, services } = embedded.get(service)!
  await pair.close()
  await services.engine.close()
}

blobServiceContract('gRPC to an embedded store', {
  create: () => overEmbedded(({ channel }) => new GrpcBlobService(channel)),
  dispose: disposeEmbedded,
})

directoryServiceContract('gRPC to an embedded store', {
  create: () => overEmbedded(({ channel }) => new GrpcDirectoryService(channel)),
  dispose: disposeEmbedded,
  capabilities: { putWithChildren: 'refused' },
})
