import { MemoryPathInfoService, type PathInfoService } from '@neve/store-pathinfo'
import { pathInfoServiceContract } from '@neve/store-pathinfo/contract'
import { GrpcPathInfoService } from '@neve/store-pathinfo/grpc'
import { type GrpcPair, grpcPair } from './grpc-fixture.js'

for (const [name, init] of [
  ['a unix socket', {}],
  ['TCP', { address: '127.0.0.1:0' }],
] as const) {
  const pairs = new WeakMap<PathInfoService, GrpcPair>()
  pathInfoServiceContract(`gRPC to memory over ${name}`, {
    create: async () => {
      const pair = await grpcPair(new MemoryPathInfoService(), {}, init)
      const service = new GrpcPathInfoService(pair.channel)
      pairs.set(service, pair)
      return service
    },
    dispose: (service) => pairs.get(service)!.close(),
    capabilities: { overwrite: false },
  })
}
