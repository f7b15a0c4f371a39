import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as grpc from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { B3Digest } from '@neve/castore-model'

/**
 * Peers that share no code with ours but the .proto files: made with another gRPC binding and another protobuf library.
 */

export type Generation = 'snix' | 'tvix'

/** Any message of the services, with the fields that the tests look at. */
export interface Message {
  readonly digest?: Uint8Array
  readonly data?: Uint8Array
  readonly root_digest?: Uint8Array
  readonly recursive?: boolean
  readonly send_chunks?: boolean
  readonly chunks?: readonly { readonly digest: Uint8Array; readonly size: number | string }[]
  readonly directories?: readonly object[]
}

/** A service as protobuf's reflection finds it. */
type ServiceClient = grpc.ServiceClientConstructor
interface Loaded {
  readonly BlobService: ServiceClient
  readonly DirectoryService: ServiceClient
}

/** The constructors of a generation's clients; their `service` is what a server registers. */
export function loadServices(generation: Generation): Loaded {
  const first = fileURLToPath(
    import.meta.resolve(`@neve/castore-model/protos/${generation}/castore/protos/castore.proto`),
  )
  const folder = join(first, '../../../..')
  const files = ['rpc_blobstore', 'rpc_directory'].map((name) =>
    join(generation, 'castore/protos', `${name}.proto`),
  )
  const definition = loadSync(files, {
    includeDirs: [folder],
    keepCase: true,
    longs: String,
    // Fields of no value are not in messages of other makes, and would make a directory another one.
    arrays: true,
    oneofs: true,
  })
  const root = grpc.loadPackageDefinition(definition) as unknown as Record<
    Generation,
    { castore: { v1: Loaded } }
  >
  return root[generation].castore.v1
}

/** What a stranger's server has, and how it behaves. */
export interface PeerInit {
  readonly generation: Generation
  /** Blobs by digest, in hex. A Put stores into it. */
  readonly blobs?: Map<string, Uint8Array>
  /** What Stat tells of a blob; what is not here has no chunks. */
  readonly chunks?: Map<string, readonly { digest: Uint8Array; size: number }[]>
  /** Encoded directories by digest, in hex. */
  readonly directories?: Map<string, Uint8Array>
  /** Replaces methods: `BlobService/Stat`. */
  readonly methods?: Record<string, grpc.UntypedHandleCall>
}

/** A server of a stranger's make. */
export interface Peer extends AsyncDisposable {
  readonly url: string
  /** The calls that came, in order: `BlobService/Stat`. */
  readonly calls: string[]
  close(): Promise<void>
}

export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

export function refuse(code: grpc.status, details: string): Partial<grpc.StatusObject> {
  return { code, details }
}

/** Starts such a server on a free port. It reads 4096 bytes a message, as the reference does. */
export async function startPeer(init: PeerInit, address = '127.0.0.1:0'): Promise<Peer> {
  const services = loadServices(init.generation)
  const calls: string[] = []
  const blobs = init.blobs ?? new Map<string, Uint8Array>()
  const directories = init.directories ?? new Map<string, Uint8Array>()
  const handlers: Record<string, grpc.UntypedHandleCall> = {
    'BlobService/Stat': (
      call: grpc.ServerUnaryCall<Message, Message>,
      answer: grpc.sendUnaryData<Message>,
    ) => {
      const key = hex(call.request.digest ?? new Uint8Array(0))
      if (!blobs.has(key)) answer(refuse(grpc.status.NOT_FOUND, 'no such blob'))
      else answer(null, { chunks: init.chunks?.get(key) ?? [] })
    },
    'BlobService/Read': (call: grpc.ServerWritableStream<Message, Message>) => {
      const content = blobs.get(hex(call.request.digest ?? new Uint8Array(0)))
      if (content === undefined) {
        call.emit('error', refuse(grpc.status.NOT_FOUND, 'no such blob'))
        return
      }
      for (let at = 0; at < content.length; at += 4096) call.write({ data: content.subarray(at, at + 4096) })
      call.end()
    },
    'BlobService/Put': (
      call: grpc.ServerReadableStream<Message, Message>,
      answer: grpc.sendUnaryData<Message>,
    ) => {
      const pieces: Uint8Array[] = []
      call.on('data', ({ data }: Message) => pieces.push(data ?? new Uint8Array(0)))
      call.on('error', () => {})
      call.on('end', () => {
        const content = Buffer.concat(pieces)
        const digest = B3Digest.of(content)
        blobs.set(digest.toHex(), content)
        answer(null, { digest: digest.bytes })
      })
    },
    'DirectoryService/Get': (call: grpc.ServerWritableStream<Message, Message>) => {
      const encoded = directories.get(hex(call.request.digest ?? new Uint8Array()))
      if (encoded === undefined) call.emit('error', refuse(grpc.status.NOT_FOUND, 'no such directory'))
      else {
        call.write(decoded(services, encoded))
        call.end()
      }
    },
    ...init.methods,
  }
  const server = new grpc.Server()
  for (const [name, { service }] of Object.entries(services)) {
    if (service === undefined) continue
    const implementation: grpc.UntypedServiceImplementation = {}
    for (const [method, { path }] of Object.entries(service as grpc.ServiceDefinition)) {
      const handler = handlers[`${name}/${method}`]
      if (handler === undefined) continue
      implementation[method] = (...args: unknown[]) => {
        calls.push(path.slice(1))
        return (handler as (...args: unknown[]) => unknown)(...args)
      }
    }
    server.addService(service, implementation)
  }
  const port = await new Promise<number>((resolve, reject) => {
    const credentials = grpc.ServerCredentials.createInsecure()
    server.bindAsync(address, credentials, (error, bound) => (error ? reject(error) : resolve(bound)))
  })
  const close = async () => server.forceShutdown()
  const url = address.startsWith('unix:') ? `grpc+${address}` : `grpc+http://127.0.0.1:${port}`
  return { url, calls, close, [Symbol.asyncDispose]: close }
}

/** A Directory message as this library wants it. */
export function decoded(services: Loaded, encoded: Uint8Array): Message {
  const { Get } = services.DirectoryService.service as grpc.ServiceDefinition
  return Get!.responseDeserialize(Buffer.from(encoded)) as Message
}

/** What came of a call: the answers, then the status. */
export interface Outcome {
  readonly answers: Message[]
  readonly code: grpc.status
  readonly details: string
}

type Answered = (error: grpc.ServiceError | null, answer?: Message) => void
type StrangeClient = grpc.Client & Record<string, (...args: readonly unknown[]) => unknown>

/** A client of a stranger's make. */
export class PeerClient implements Disposable {
  readonly #clients: Record<keyof Loaded, StrangeClient>
  readonly services: Loaded

  /** @param address `127.0.0.1:8000` or `unix:/path` */
  constructor(generation: Generation, address: string, credentials = grpc.credentials.createInsecure()) {
    this.services = loadServices(generation)
    const { BlobService, DirectoryService } = this.services
    this.#clients = {
      BlobService: new BlobService(address, credentials) as unknown as StrangeClient,
      DirectoryService: new DirectoryService(address, credentials) as unknown as StrangeClient,
    }
  }

  /** One request, one answer or many. */
  call(service: keyof Loaded, method: string, request: Message): Promise<Outcome> {
    const client = this.#clients[service]
    const definition = this.services[service].service[method]!
    return new Promise((resolve) => {
      if (definition.responseStream) {
        collect(client[method]!(request) as grpc.ClientReadableStream<Message>, resolve)
        return
      }
      const answered: Answered = (error, answer) => resolve(outcome(error, answer))
      client[method]!(request, answered)
    })
  }

  /** An upload. */
  upload(
    service: keyof Loaded,
    method: string,
    feed: (call: grpc.ClientWritableStream<Message>) => void,
  ): Promise<Outcome> {
    return new Promise((resolve) => {
      const answered: Answered = (error, answer) => resolve(outcome(error, answer))
      const call = this.#clients[service][method]!(answered) as grpc.ClientWritableStream<Message>
      call.on('error', () => {})
      feed(call)
    })
  }

  /** The messages, then the end. */
  put(service: keyof Loaded, messages: readonly Message[]): Promise<Outcome> {
    return this.upload(service, 'Put', (call) => {
      for (const message of messages) call.write(message)
      call.end()
    })
  }

  [Symbol.dispose](): void {
    for (const client of Object.values(this.#clients)) client.close()
  }
}

function outcome(error: grpc.ServiceError | null, answer?: Message): Outcome {
  if (error) return { answers: [], code: error.code, details: error.details }
  return { answers: answer === undefined ? [] : [answer], code: grpc.status.OK, details: '' }
}

function collect(call: grpc.ClientReadableStream<Message>, resolve: (outcome: Outcome) => void): void {
  const answers: Message[] = []
  call.on('data', (answer: Message) => answers.push(answer))
  call.on('error', () => {})
  call.on('status', ({ code, details }) => resolve({ answers, code, details }))
}
