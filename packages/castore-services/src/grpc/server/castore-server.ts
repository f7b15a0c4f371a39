import type { Duplex } from 'node:stream'
import { createSecureContext } from 'node:tls'
import type { BlobService } from '../../blob-service.js'
import type { DirectoryService } from '../../directory-service.js'
import { CastoreError } from '../../errors.js'
import { BLOB_BATCH_GRPC_SERVICE } from '../batch-definitions.js'
import { BLOB_GRPC_SERVICE, DIRECTORY_GRPC_SERVICE } from '../castore-definitions.js'
import { DEFAULT_MAX_MESSAGE_SIZE, DEFAULT_WINDOW } from '../channel.js'
import { blobBatchImplementation } from './blob-batch-service.js'
import { blobServiceImplementation } from './blob-service.js'
import { directoryServiceImplementation } from './directory-service.js'
import { GrpcServer } from './grpc-server.js'
import { type GrpcServerTls, Http2Endpoint } from './http2-endpoint.js'
import { boundAddress, type ListenOptions, type ListenTarget, openSocket } from './listening.js'
import { registerService } from './register-service.js'
import { addSplitServices, type SplitServices } from './split-services.js'
import type { OnServerError } from './status.js'

/** What one client may ask for. */
export interface GrpcServerLimits {
  /** The largest message to accept, in bytes. Default: 16 MiB. */
  readonly maxMessageSize?: number | undefined
  /** The most directories of one upload. Default: 1,000,000. */
  readonly maxUploadDirectories?: number | undefined
  /** The most bytes of the directories of one upload. Default: 1 GiB. */
  readonly maxUploadSize?: number | undefined
  /** The most calls at once over one connection. Default: 1024. */
  readonly maxConcurrentCalls?: number | undefined
  /**
   * The most bytes to hold of requests that nobody has taken, of all clients together: beyond it whoever holds most is
   * cut off. Default: 512 MiB.
   */
  readonly maxHeld?: number | undefined
  /** The longest that a client may take to say that it speaks HTTP/2, in milliseconds. Default: 20,000. */
  readonly connectTimeout?: number | undefined
  /** How much a client may send ahead of what was taken, in bytes. Default: 8 MiB. */
  readonly window?: number | undefined
}

/** What {@link castoreServer} serves, and how. */
export interface CastoreServerInit {
  /** Served as BlobService, and as our BlobBatchService. Default: neither is there. */
  readonly blobs?: BlobService | undefined
  /**
   * Served as ChunkStoreService and BlobStoreService (spec 10): the halves of a blob service, or false for neither.
   * Default: the halves of `blobs`, when there is that.
   */
  readonly split?: SplitServices | false | undefined
  /** Whether a chunk list is taken only when its chunks make up the blob. Default: when they are all stored. */
  readonly verifyPut?: boolean | undefined
  /** Served as DirectoryService. Default: that service is not there. */
  readonly directories?: DirectoryService | undefined
  /** Of TCP connections; those over unix sockets are plain text. Default: none, plain text. */
  readonly tls?: GrpcServerTls | undefined
  readonly limits?: GrpcServerLimits | undefined
  /**
   * Adds further services, with `add` or {@link registerService}, and puts middleware before all with `use`. Called once,
   * before the first connection.
   */
  readonly extend?: ((server: GrpcServer) => void) | undefined
  /** Told of failures that are not the client's. Default: nobody is. */
  readonly onError?: OnServerError | undefined
}

/** An address on which a server listens. */
export interface Listener extends AsyncDisposable {
  /** The address as it turned out: `127.0.0.1:40123`, `unix:/run/castore.sock`. */
  readonly address: string
  /** The URL that clients use: `grpc+http://127.0.0.1:40123`. */
  readonly url: string
  /** Stops listening and lets the calls that run end. */
  close(options?: CloseOptions): Promise<void>
}

/** How long to wait for calls that run. */
export interface CloseOptions {
  /** Milliseconds after which calls that still run are cut off. Default: 10,000. */
  readonly grace?: number | undefined
}

/** A server that may listen on several addresses. */
export interface CastoreServer extends AsyncDisposable {
  /**
   * Listens on an address: `127.0.0.1:8000`, `[::1]:0`, `unix:/run/castore.sock` or the absolute path of a socket. The
   * file of a socket that nobody answers on is replaced. Or takes over what listens already.
   *
   * @throws CastoreError `invalid-input` for a bad address, certificate or key; `unavailable` when it is taken or not ours
   */
  listen(target: ListenTarget, options?: ListenOptions): Promise<Listener>
  /**
   * Serves one connection in plain text, such as that over standard input and output. It is closed in the end.
   *
   * @returns once it is over
   */
  accept(connection: Duplex): Promise<void>
  /** Closes every listener and connection. The services are the caller's and stay open. */
  close(options?: CloseOptions): Promise<void>
}

const DEFAULT_GRACE = 10_000
const DEFAULT_MAX_CONCURRENT_CALLS = 1024
const DEFAULT_MAX_HELD = 512 * 1024 * 1024
const DEFAULT_CONNECT_TIMEOUT = 20_000

/** Serves blobs and directories over gRPC, to clients of both generations (spec 02 section 10, spec 03 section 9.4). */
export function castoreServer(init: CastoreServerInit): CastoreServer {
  const { tls, limits = {} } = init
  let made: GrpcServer | undefined
  const endpoints = new Set<Http2Endpoint>()

  function openEndpoint(secure: boolean): Http2Endpoint {
    made ??= makeServices(init)
    const services = made
    const endpoint = new Http2Endpoint({
      onStream: (stream, headers) => services.serve(stream, headers),
      tls: secure ? tls : undefined,
      window: limits.window ?? DEFAULT_WINDOW,
      maxConcurrentCalls: limits.maxConcurrentCalls ?? DEFAULT_MAX_CONCURRENT_CALLS,
      connectTimeout: limits.connectTimeout ?? DEFAULT_CONNECT_TIMEOUT,
    })
    endpoints.add(endpoint)
    return endpoint
  }

  async function closeEndpoint(endpoint: Http2Endpoint, { grace = DEFAULT_GRACE }: CloseOptions = {}) {
    await endpoint.close(grace)
    endpoints.delete(endpoint)
  }

  async function close(options?: CloseOptions): Promise<void> {
    await Promise.all([...endpoints].map((endpoint) => closeEndpoint(endpoint, options)))
  }

  return {
    async listen(target, options) {
      if (tls !== undefined) checkTls(tls)
      const socket = await openSocket(target, options)
      const { secure, address, url } = boundAddress(socket, tls !== undefined, descriptorOf(target))
      const endpoint = openEndpoint(secure)
      endpoint.adopt(socket)
      let closing: Promise<void> | undefined
      const closeOnce = (closeOptions?: CloseOptions): Promise<void> => {
        closing ??= closeEndpoint(endpoint, closeOptions)
        return closing
      }
      return { address, url, close: closeOnce, [Symbol.asyncDispose]: () => closeOnce() }
    },
    async accept(connection) {
      const endpoint = openEndpoint(false)
      try {
        await endpoint.accept(connection)
      } finally {
        await closeEndpoint(endpoint)
      }
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}

function makeServices(init: CastoreServerInit): GrpcServer {
  const { blobs, split = blobs, verifyPut, directories, limits = {}, extend, onError = () => {} } = init
  const server = new GrpcServer({
    maxMessageSize: limits.maxMessageSize ?? DEFAULT_MAX_MESSAGE_SIZE,
    maxHeld: limits.maxHeld ?? DEFAULT_MAX_HELD,
    onError,
  })
  if (blobs !== undefined) {
    registerService(server, BLOB_GRPC_SERVICE, blobServiceImplementation(blobs, { onError }))
    registerService(server, BLOB_BATCH_GRPC_SERVICE, blobBatchImplementation(blobs, { onError }))
  }
  if (directories !== undefined) {
    const implementation = directoryServiceImplementation(directories, { ...limits, onError })
    registerService(server, DIRECTORY_GRPC_SERVICE, implementation)
  }
  if (split) addSplitServices(server, split, { verifyPut, onError })
  extend?.(server)
  return server
}

/** What cannot be used is told before anything listens. */
function checkTls({ cert, key, clientCa }: GrpcServerTls): void {
  try {
    createSecureContext({
      cert: Buffer.from(cert),
      key: Buffer.from(key),
      ca: clientCa && Buffer.from(clientCa),
    })
  } catch (cause) {
    const text = cause instanceof Error ? cause.message : String(cause)
    throw new CastoreError('invalid-input', `unusable certificate or key: ${text}`, { cause })
  }
}

function descriptorOf(target: ListenTarget): number | undefined {
  return typeof target !== 'string' && 'fd' in target ? target.fd : undefined
}
