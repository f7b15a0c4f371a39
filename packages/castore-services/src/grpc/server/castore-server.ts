import { chmod } from 'node:fs/promises'
import { createSecureContext } from 'node:tls'
import { ServerCredentials } from '@grpc/grpc-js'
import { type ChannelOptions, createServer, type Server } from 'nice-grpc'
import type { BlobService } from '../../blob-service.js'
import type { DirectoryService } from '../../directory-service.js'
import { CastoreError } from '../../errors.js'
import { BLOB_BATCH_GRPC_SERVICE } from '../batch-definitions.js'
import { BLOB_GRPC_SERVICE, DIRECTORY_GRPC_SERVICE } from '../castore-definitions.js'
import { DEFAULT_MAX_MESSAGE_SIZE, DEFAULT_WINDOW } from '../channel.js'
import { blobBatchImplementation } from './blob-batch-service.js'
import { blobServiceImplementation } from './blob-service.js'
import { directSend } from './direct-send.js'
import { directoryServiceImplementation } from './directory-service.js'
import { clearStaleSocket, type ListenAddress, parseListenAddress } from './listen-address.js'
import { registerService } from './register-service.js'
import { ServerSessions } from './server-sessions.js'
import { addSplitServices, type SplitServices } from './split-services.js'
import type { OnServerError } from './status.js'

/** What a server shows, and whom it lets in. Everything is PEM. */
export interface GrpcServerTls {
  readonly cert: Uint8Array
  /** The private key of `cert`. */
  readonly key: Uint8Array
  /** Lets in only clients with a certificate that one of these authorities signed. Default: everybody. */
  readonly clientCa?: Uint8Array | undefined
}

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
  /** Default: plain text. */
  readonly tls?: GrpcServerTls | undefined
  readonly limits?: GrpcServerLimits | undefined
  /** Adds further services, under {@link registerService} or by nice-grpc's own means. Called for each address. */
  readonly extend?: ((server: Server) => void) | undefined
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
   * file of a socket that nobody answers on is replaced.
   *
   * @throws CastoreError `invalid-input` for a bad address, certificate or key; `unavailable` when it is taken or not ours
   */
  listen(address: string, options?: ListenOptions): Promise<Listener>
  /** Closes every listener. The services are the caller's and stay open. */
  close(options?: CloseOptions): Promise<void>
}

/** Options of {@link CastoreServer.listen}. */
export interface ListenOptions {
  /** Permissions of a socket's file. Default: what the process' umask leaves. */
  readonly mode?: number | undefined
}

const DEFAULT_GRACE = 10_000
const DEFAULT_MAX_CONCURRENT_CALLS = 1024
/** How often to ask a client that is silent whether it is still there: its uploads hold memory. */
const KEEP_ALIVE_INTERVAL = 120_000

/** Serves blobs and directories over gRPC, to clients of both generations (spec 02 section 10, spec 03 section 9.4). */
export function castoreServer(init: CastoreServerInit): CastoreServer {
  const listeners = new Set<Listener>()
  const close = async (options?: CloseOptions): Promise<void> => {
    await Promise.all([...listeners].map((listener) => listener.close(options)))
  }
  return {
    async listen(text, options = {}) {
      const address = parseListenAddress(text)
      const secrets = credentials(init.tls)
      if (address.kind === 'unix') await clearStaleSocket(address.path)
      const sessions = new ServerSessions(init.limits?.window ?? DEFAULT_WINDOW)
      const server = makeServer(init, sessions)
      const target = address.kind === 'unix' ? `unix:${address.path}` : `${address.host}:${address.port}`
      let port: number
      try {
        port = await server.listen(target, secrets)
      } catch (cause) {
        const reason = cause instanceof Error ? cause.message : String(cause)
        throw new CastoreError('unavailable', `unable to listen on ${text}: ${reason}`, { cause })
      }
      const listener = makeListener(server, sessions, address, port, init.tls !== undefined, () =>
        listeners.delete(listener),
      )
      listeners.add(listener)
      if (address.kind === 'unix' && options.mode !== undefined) await chmod(address.path, options.mode)
      return listener
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}

function makeServer(init: CastoreServerInit, sessions: ServerSessions): Server {
  const { blobs, split = blobs, verifyPut, directories, limits = {}, extend, onError } = init
  const options: ChannelOptions = {
    'grpc.max_receive_message_length': limits.maxMessageSize ?? DEFAULT_MAX_MESSAGE_SIZE,
    'grpc.max_send_message_length': -1,
    'grpc.max_concurrent_streams': limits.maxConcurrentCalls ?? DEFAULT_MAX_CONCURRENT_CALLS,
    'grpc.keepalive_time_ms': KEEP_ALIVE_INTERVAL,
    'grpc.enable_channelz': 0,
    interceptors: [sessions.intercept, directSend],
  }
  const server = createServer(options)
  if (blobs !== undefined) {
    registerService(server, BLOB_GRPC_SERVICE, blobServiceImplementation(blobs, { onError }))
    registerService(server, BLOB_BATCH_GRPC_SERVICE, blobBatchImplementation(blobs, { onError }))
  }
  if (directories !== undefined) {
    registerService(
      server,
      DIRECTORY_GRPC_SERVICE,
      directoryServiceImplementation(directories, { ...limits, onError }),
    )
  }
  if (split) addSplitServices(server, split, { verifyPut, onError })
  extend?.(server)
  return server
}

function makeListener(
  server: Server,
  sessions: ServerSessions,
  address: ListenAddress,
  port: number,
  tls: boolean,
  onClosed: () => void,
): Listener {
  const text = address.kind === 'unix' ? `unix:${address.path}` : `${address.host}:${port}`
  const scheme = tls ? 'grpc+https' : 'grpc+http'
  let closing: Promise<void> | undefined
  const shutDown = async ({ grace = DEFAULT_GRACE }: CloseOptions): Promise<void> => {
    let timer: NodeJS.Timeout | undefined
    // A session that a broken client brought down does not tell the library that it is over: nobody waits for that.
    const forced = new Promise<void>((resolve) => {
      timer = setTimeout(() => {
        server.forceShutdown()
        sessions.destroy()
        resolve()
      }, grace)
    })
    try {
      await Promise.race([server.shutdown(), forced])
    } finally {
      clearTimeout(timer)
      onClosed()
    }
  }
  const close = (options: CloseOptions = {}): Promise<void> => {
    closing ??= shutDown(options)
    return closing
  }
  return {
    address: text,
    url:
      address.kind === 'unix'
        ? `grpc+unix:${address.path.split('/').map(encodeURIComponent).join('/')}`
        : `${scheme}://${text}`,
    close,
    [Symbol.asyncDispose]: () => close(),
  }
}

function credentials(tls: GrpcServerTls | undefined): ServerCredentials {
  if (tls === undefined) return ServerCredentials.createInsecure()
  const { cert, key, clientCa } = tls
  try {
    // The library finds out when it begins to listen, and says only that.
    createSecureContext({
      cert: Buffer.from(cert),
      key: Buffer.from(key),
      ca: clientCa && Buffer.from(clientCa),
    })
    return ServerCredentials.createSsl(
      clientCa === undefined ? null : Buffer.from(clientCa),
      [{ cert_chain: Buffer.from(cert), private_key: Buffer.from(key) }],
      clientCa !== undefined,
    )
  } catch (cause) {
    const text = cause instanceof Error ? cause.message : String(cause)
    throw new CastoreError('invalid-input', `unusable certificate or key: ${text}`, { cause })
  }
}
