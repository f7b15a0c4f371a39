import { createServer, type Server } from 'node:http'
import type { Socket } from 'node:net'
import {
  type BoundSocket,
  type ListenAddress,
  listenOn,
  parseListenAddress,
} from '@neve/castore-services/listen'
import type { NarBridge } from '../nar-bridge.js'
import { type Access, RequestListener } from './request-listener.js'

/** Options of {@link BridgeServer}. */
export interface BridgeServerOptions {
  /** Milliseconds for which a client may be silent, sending or receiving. Default: 60,000. */
  readonly idleTimeout?: number | undefined
  /** The most connections at once. Default: 4096. */
  readonly maxConnections?: number | undefined
  /** Told of every request once it is over. Default: nobody is. */
  readonly onAccess?: ((access: Access) => void) | undefined
}

/** Options of {@link serve}. */
export interface ServeOptions extends BridgeServerOptions {
  /** An address of `@neve/castore-services/listen`: `127.0.0.1:9000`, `[::1]:0`, `/run/neve-http.sock`, `sd-listen`. */
  readonly listen: string
  /** Permissions of a socket file, such as 0o660. Default: by umask. */
  readonly socketMode?: number | undefined
}

/** A server that runs. */
export interface RunningServer extends AsyncDisposable {
  /** Where clients find it: `http://127.0.0.1:9000`, `/run/neve-http.sock`. */
  readonly url: string
  /** As {@link BridgeServer.close}, and no longer listens. */
  close(options?: CloseOptions): Promise<void>
}

export interface CloseOptions {
  /** Milliseconds after which requests that still run are cut off. Default: 10,000. */
  readonly grace?: number | undefined
}

const IDLE_TIMEOUT = 60_000
const MAX_CONNECTIONS = 4096
const HEADERS_TIMEOUT = 30_000
const MAX_HEADERS = 16 * 1024
const GRACE = 10_000

/** Speaks HTTP/1.1 on connections that it is given. Requests may take as long as they need: what ends them is silence. */
export class BridgeServer {
  readonly #server: Server
  readonly #listener: RequestListener
  readonly #sockets = new Set<Socket>()
  readonly #maxConnections: number
  #empty: (() => void) | undefined

  constructor(bridge: NarBridge, options: BridgeServerOptions = {}) {
    const { idleTimeout = IDLE_TIMEOUT, maxConnections = MAX_CONNECTIONS, onAccess } = options
    const headersTimeout = Math.min(HEADERS_TIMEOUT, idleTimeout)
    this.#maxConnections = maxConnections
    this.#listener = new RequestListener(bridge, onAccess)
    this.#server = createServer({
      keepAliveTimeout: idleTimeout,
      headersTimeout,
      requestTimeout: 0,
      maxHeaderSize: MAX_HEADERS,
      connectionsCheckingInterval: headersTimeout / 2,
    })
    this.#server.setTimeout(idleTimeout, (socket) => {
      if (!this.#listener.isWorking(socket)) socket.destroy()
    })
    this.#server.on('request', (incoming, response) => void this.#listener.handle(incoming, response, false))
    this.#server.on('checkContinue', (incoming, response) => {
      void this.#listener.handle(incoming, response, true)
    })
    // Only a server that listens looks after headers that do not come; this one is given its connections.
    this.#server.emit('listening')
  }

  /** Takes a connection. */
  connect(socket: Socket): void {
    if (this.#sockets.size >= this.#maxConnections || this.#listener.closing) {
      socket.destroy()
      return
    }
    this.#sockets.add(socket)
    socket.once('close', () => {
      this.#sockets.delete(socket)
      if (this.#sockets.size === 0) this.#empty?.()
    })
    this.#server.emit('connection', socket)
  }

  /** Takes no more requests, lets those that run end, and closes all connections. */
  async close({ grace = GRACE }: CloseOptions = {}): Promise<void> {
    this.#listener.closing = true
    const empty = new Promise<void>((resolve) => {
      this.#empty = resolve
    })
    // It does not listen itself; this ends its timers, and connections without a request.
    this.#server.close(() => {})
    this.#server.closeIdleConnections()
    const timer = setTimeout(() => {
      for (const socket of this.#sockets) socket.destroy()
    }, grace)
    if (this.#sockets.size > 0) await empty
    clearTimeout(timer)
  }
}

/**
 * Serves a bridge over HTTP/1.1. Dispose of the server to end it.
 *
 * @throws CastoreError `invalid-input` for an address that is none, `unavailable` for one that is taken
 */
export async function serve(bridge: NarBridge, options: ServeOptions): Promise<RunningServer> {
  const { listen, socketMode, ...rest } = options
  const address = parseListenAddress(listen)
  if (address.kind === 'stdio') throw new TypeError('a binary cache is not served over standard input')
  const server = new BridgeServer(bridge, rest)
  const bound = await bind(server, address, socketMode)
  const close: RunningServer['close'] = async (closing) => {
    await Promise.all(bound.map((socket) => socket.close()))
    await server.close(closing)
  }
  const [{ kind, address: text }] = bound as [BoundSocket, ...BoundSocket[]]
  return { url: kind === 'tcp' ? `http://${text}` : text, close, [Symbol.asyncDispose]: () => close() }
}

async function bind(
  server: BridgeServer,
  address: Exclude<ListenAddress, { readonly kind: 'stdio' }>,
  mode: number | undefined,
): Promise<readonly BoundSocket[]> {
  try {
    return await listenOn(address, (socket) => server.connect(socket), { mode })
  } catch (error) {
    await server.close()
    throw error
  }
}
