import type { Duplex } from 'node:stream'
import { createSecureContext } from 'node:tls'
import type { BlobService } from '../../blob-service.js'
import type { DirectoryService } from '../../directory-service.js'
import { CastoreError } from '../../errors.js'
import { type BoundSocket, type ListenSocketOptions, listenOn } from '../../listen/bound-socket.js'
import { parseListenAddress } from '../../listen/listen-address.js'
import { BLOB_BATCH_GRPC_SERVICE } from '../batch-definitions.js'
import { BLOB_GRPC_SERVICE, DIRECTORY_GRPC_SERVICE } from '../castore-definitions.js'
import { DEFAULT_MAX_MESSAGE_SIZE, DEFAULT_WINDOW } from '../channel.js'
import { blobBatchImplementation } from './blob-batch-service.js'
import { blobServiceImplementation } from './blob-service.js'
import { directoryServiceImplementation } from './directory-service.js'
import { GrpcServer } from './grpc-server.js'
import { type GrpcServerTls, Http2Endpoint } from './http2-endpoint.js'
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
  /** The address as it turned out: `127.0.0.1:40123`, `/run/castore.sock`. Of several that were passed, the first. */
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

/** How {@link CastoreServer.accept} serves a connection. */
export interface AcceptOptions {
  /** Over TLS, as the server's option `tls` says. Default: false, plain text. */
  readonly tls?: boolean | undefined
}

/** A server that may listen on several addresses. */
export interface CastoreServer extends AsyncDisposable {
  /**
   * Listens on an address of spec 08 section 4.1, such as `127.0.0.1:8000`, `[::1]:0`, `/run/castore.sock` or
   * `sd-listen`. For one connection over standard input and output there is {@link accept}.
   *
   * @throws CastoreError `invalid-input` for a bad address; `unavailable` when it is taken or not ours
   */
  listen(address: string, options?: ListenSocketOptions): Promise<Listener>
  /**
   * Serves one connection, such as that over standard input and output, or one that somebody else accepted. It is
   * closed in the end.
   *
   * @returns once it is over
   * @throws CastoreError `invalid-input` for TLS where the server has no certificate
   */
  accept(connection: Duplex, options?: AcceptOptions): Promise<void>
  /** Closes every listener and connection. The services are the caller's and stay open. */
  close(options?: CloseOptions): Promise<void>
}

const DEFAULT_GRACE = 10_000
const DEFAULT_MAX_CONCURRENT_CALLS = 1024
const DEFAULT_MAX_HELD = 512 * 1024 * 1024
const DEFAULT_CONNECT_TIMEOUT = 20_000

/**
 * Serves blobs and directories over gRPC, to clients of both generations (spec 02 section 10, spec 03 section 9.4).
 *
 * @throws CastoreError `invalid-input` for a certificate or key that cannot be used
 */
export function castoreServer(init: CastoreServerInit): CastoreServer {
  const { tls, limits = {} } = init
  if (tls !== undefined) checkTls(tls)
  let made: GrpcServer | undefined
  const listeners = new Set<Listener>()
  /** Of the connections that others accepted: by whether there is TLS. */
  const accepting = new Map<boolean, Http2Endpoint>()

  function newEndpoint(secure: boolean): Http2Endpoint {
    made ??= makeServices(init)
    const services = made
    return new Http2Endpoint({
      onStream: (stream, headers) => services.serve(stream, headers),
      tls: secure ? tls : undefined,
      window: limits.window ?? DEFAULT_WINDOW,
      maxConcurrentCalls: limits.maxConcurrentCalls ?? DEFAULT_MAX_CONCURRENT_CALLS,
      connectTimeout: limits.connectTimeout ?? DEFAULT_CONNECT_TIMEOUT,
    })
  }

  async function listen(text: string, options?: ListenSocketOptions): Promise<Listener> {
    const address = parseListenAddress(text)
    if (address.kind === 'stdio') {
      throw new CastoreError('invalid-input', `unable to listen on ${text}: it is one connection, for accept`)
    }
    const [plain, secure] = [newEndpoint(false), newEndpoint(tls !== undefined)]
    const sockets = await listenOn(
      address,
      (socket, { tcp }) => void (tcp ? secure : plain).accept(socket),
      options,
    )
    const closeAll = async ({ grace = DEFAULT_GRACE }: CloseOptions): Promise<void> => {
      await Promise.all(sockets.map((socket) => socket.close()))
      await Promise.all([plain.close(grace), secure.close(grace)])
      listeners.delete(listener)
    }
    let closing: Promise<void> | undefined
    const closeOnce = (closeOptions: CloseOptions = {}): Promise<void> => {
      closing ??= closeAll(closeOptions)
      return closing
    }
    const listener: Listener = {
      address: sockets[0]!.address,
      url: listenerUrl(sockets[0]!, tls !== undefined),
      close: closeOnce,
      [Symbol.asyncDispose]: () => closeOnce(),
    }
    listeners.add(listener)
    return listener
  }

  async function close(options: CloseOptions = {}): Promise<void> {
    const { grace = DEFAULT_GRACE } = options
    const listening = [...listeners].map((listener) => listener.close(options))
    const accepted = [...accepting.values()].map((endpoint) => endpoint.close(grace))
    await Promise.all([...listening, ...accepted])
  }

  return {
    listen,
    async accept(connection, options = {}) {
      const secure = options.tls ?? false
      let endpoint = accepting.get(secure)
      if (endpoint === undefined) {
        if (secure && tls === undefined) throw new CastoreError('invalid-input', 'TLS needs a certificate')
        endpoint = newEndpoint(secure)
        accepting.set(secure, endpoint)
      }
      await endpoint.accept(connection)
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}

/** The URL that clients use: of TCP and socket files; for others, what the socket is called. */
export function listenerUrl({ kind, address }: BoundSocket, tls: boolean): string {
  if (kind === 'tcp') return `${tls ? 'grpc+https' : 'grpc+http'}://${address}`
  return address.startsWith('/')
    ? `grpc+unix:${address.split('/').map(encodeURIComponent).join('/')}`
    : address
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
