import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as grpc from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { type GrpcChannel, openGrpcChannel } from '@neve/castore-services/grpc'
import { type CastoreServerInit, castoreServer } from '@neve/castore-services/grpc/server'
import type { PathInfoService } from '@neve/store-pathinfo'
import {
  addPathInfoService,
  type PathInfoServiceImplementationOptions,
} from '@neve/store-pathinfo/grpc/server'
import { temporaryFolder } from './support.js'

export type Generation = 'snix' | 'tvix'

/** A server of ours and a channel to it. */
export interface GrpcPair extends AsyncDisposable {
  readonly channel: GrpcChannel
  readonly url: string
  close(): Promise<void>
}

/** Starts a server of ours with a path info service, on a unix socket unless told otherwise. */
export async function grpcPair(
  pathInfos: PathInfoService,
  options: PathInfoServiceImplementationOptions = {},
  { address = join(temporaryFolder(), 'socket'), ...init }: CastoreServerInit & { address?: string } = {},
): Promise<GrpcPair> {
  const server = castoreServer({ ...init, extend: (to) => addPathInfoService(to, pathInfos, options) })
  const listener = await server.listen(address)
  const channel = await openGrpcChannel(listener.url)
  const close = async () => {
    await channel.close()
    await server.close()
  }
  return { channel, url: listener.url, close, [Symbol.asyncDispose]: close }
}

/**
 * The constructor of a generation's client, and the service to register with a server: made with another binding and
 * another protobuf library, from the .proto files alone.
 */
export function strangersPathInfoService(generation: Generation): grpc.ServiceClientConstructor {
  const folders = [
    [`@neve/castore-model/protos/${generation}/castore/protos/castore.proto`, '../../../..'],
    [`@neve/store-pathinfo/protos/${generation}/store/protos/pathinfo.proto`, '../../../..'],
  ].map(([file, up]) => join(fileURLToPath(import.meta.resolve(file!)), up!))
  const definition = loadSync(join(generation, 'store/protos/rpc_pathinfo.proto'), {
    includeDirs: folders,
    keepCase: true,
    longs: String,
    oneofs: true,
  })
  const root = grpc.loadPackageDefinition(definition) as unknown as Record<
    Generation,
    { store: { v1: { PathInfoService: grpc.ServiceClientConstructor } } }
  >
  return root[generation].store.v1.PathInfoService
}

/** A call of a stranger's client. */
export function strangerCall<T>(client: grpc.Client, method: string, request: object): Promise<T> {
  return new Promise((resolve, reject) => {
    const call = (client as unknown as Record<string, (...args: unknown[]) => void>)[method]!
    call.call(client, request, (error: grpc.ServiceError | null, answer: T) =>
      error === null ? resolve(answer) : reject(error),
    )
  })
}

/** A server of a stranger's make. */
export async function strangersServer(
  generation: Generation,
  handlers: grpc.UntypedServiceImplementation,
): Promise<GrpcPair> {
  const server = new grpc.Server()
  server.addService(strangersPathInfoService(generation).service, handlers)
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    )
  })
  const url = `grpc+http://127.0.0.1:${port}`
  const channel = await openGrpcChannel(url)
  const close = async () => {
    await channel.close()
    server.forceShutdown()
  }
  return { channel, url, close, [Symbol.asyncDispose]: close }
}
