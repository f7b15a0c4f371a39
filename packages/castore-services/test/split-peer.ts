import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as grpc from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'

/** The folder of the .proto files. */
const PROTOS = join(
  dirname(fileURLToPath(import.meta.resolve('@neve/castore-model/protos/snix/castore/protos/castore.proto'))),
  '../../..',
)

type Handlers = Readonly<Record<string, grpc.UntypedHandleCall>>

/**
 * The services as @grpc/grpc-js and @grpc/proto-loader make them of the .proto files: nothing of ours is in them, so
 * that our two halves cannot agree on a mistake.
 */
const definitions = loadSync(
  ['rpc_split_blobs.proto', 'rpc_blobstore.proto', 'rpc_directory.proto'].map(
    (name) => `snix/castore/protos/${name}`,
  ),
  { includeDirs: [PROTOS], keepCase: true, longs: String, defaults: true },
)

function serviceOf(name: string): grpc.ServiceDefinition {
  return definitions[`snix.castore.v1.${name}`] as grpc.ServiceDefinition
}

/** A server of somebody else's, on a port of its own. */
export interface Peer extends AsyncDisposable {
  readonly port: number
}

/** @param services handlers by service (`BlobStoreService`) and method (`GetBlob`) */
export async function peerServer(services: Readonly<Record<string, Handlers>>): Promise<Peer> {
  const server = new grpc.Server({ 'grpc.max_receive_message_length': 4 * 1024 * 1024 })
  for (const [name, handlers] of Object.entries(services)) server.addService(serviceOf(name), handlers)
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) => {
      if (error) reject(error)
      else resolve(bound)
    })
  })
  return {
    port,
    [Symbol.asyncDispose]: async () => server.forceShutdown(),
  }
}

/** What a call came to. */
export interface Answer {
  readonly code: grpc.status
  readonly details: string
  // biome-ignore lint/suspicious/noExplicitAny: a stranger's messages have no types
  readonly messages: readonly any[]
}

/** A client of somebody else's. */
export interface PeerClient extends Disposable {
  /** Makes a call with these requests, and waits for its end, whatever that is. */
  call(service: string, method: string, ...requests: unknown[]): Promise<Answer>
}

export function peerClient(port: number): PeerClient {
  const clients = new Map<string, grpc.Client>()
  const clientOf = (service: string) => {
    const found = clients.get(service)
    if (found !== undefined) return found
    const Client = grpc.makeGenericClientConstructor(serviceOf(service), service)
    const client = new Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure())
    clients.set(service, client)
    return client
  }
  return {
    call: (service, method, ...requests) => {
      const client = clientOf(service)
      return call(client, serviceOf(service)[method]!, requests)
    },
    [Symbol.dispose]: () => {
      for (const client of clients.values()) client.close()
    },
  }
}

function call(
  client: grpc.Client,
  method: grpc.MethodDefinition<unknown, unknown>,
  requests: readonly unknown[],
): Promise<Answer> {
  return new Promise((resolve) => {
    const messages: unknown[] = []
    const stream = client.makeBidiStreamRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
    )
    stream.on('data', (message) => messages.push(message))
    stream.on('error', () => {})
    stream.on('status', ({ code, details }) => resolve({ code, details, messages }))
    for (const request of requests) stream.write(request)
    stream.end()
  })
}
