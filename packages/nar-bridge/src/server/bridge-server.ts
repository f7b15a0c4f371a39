import { createServer, type Server } from 'node:http'
import type { Socket } from 'node:net'
import { createServer as createTlsServer, type Server as TlsServer } from 'node:tls'
import type { NarBridge } from '../nar-bridge.js'
import { firstBytes } from './first-bytes.js'
import { Http2Connections } from './http2-connections.js'
import { QuickLane } from './quick-lane.js'
import { type Access, RequestListener } from './request-listener.js'

/** What a server shows over TLS; everything in PEM. */
export interface BridgeServerTls {
  readonly cert: Uint8Array
  readonly key: Uint8Array
  /** Let in only clients with a certificate of these authorities. Default: everybody. */
  readonly clientCa?: Uint8Array | undefined
}

/** Options of {@link BridgeServer}. */
export interface BridgeServerOptions {
  /** Milliseconds for which a client may be silent, sending or receiving. Default: 60,000. */
  readonly idleTimeout?: number | undefined
  /** The most connections at once. Default: 4096. */
  readonly maxConnections?: number | undefined
  /** For connections that are to be encrypted. Default: there are none. */
  readonly tls?: BridgeServerTls | undefined
  /** Told of every request once it is over. Default: nobody is. */
  readonly onAccess?: ((access: Access) => void) | undefined
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

/**
 * Speaks HTTP/1.1 on connections that it is given, and HTTP/2 with clients that begin with it or choose it in TLS.
 * Requests may take as long as they need: what ends them is silence.
 */
export class BridgeServer {
  readonly #http1: Server
  readonly #http2: Http2Connections
  readonly #tls: TlsServer | undefined
  readonly #listener: RequestListener
  readonly #sockets = new Set<Socket>()
  /** Those of which nothing is known yet, or that have asked only what was answered at once. */
  readonly #silent = new Set<Socket>()
  readonly #maxConnections: number
  readonly #toHttp1: (socket: Socket) => void
  readonly #patience: number
  #empty: (() => void) | undefined

  constructor(bridge: NarBridge, options: BridgeServerOptions = {}) {
    const { idleTimeout = IDLE_TIMEOUT, maxConnections = MAX_CONNECTIONS, onAccess, tls } = options
    this.#patience = Math.min(HEADERS_TIMEOUT, idleTimeout)
    this.#maxConnections = maxConnections
    this.#listener = new RequestListener(bridge, onAccess)
    this.#http1 = this.#makeHttp1(idleTimeout)
    this.#toHttp1 = this.#makeToHttp1(bridge, idleTimeout, onAccess)
    this.#http2 = new Http2Connections(bridge, { idleTimeout, maxHeaders: MAX_HEADERS, onAccess })
    if (tls !== undefined) this.#tls = this.#makeTls(tls)
  }

  #makeHttp1(idleTimeout: number): Server {
    const server = createServer({
      keepAliveTimeout: idleTimeout,
      headersTimeout: this.#patience,
      requestTimeout: 0,
      maxHeaderSize: MAX_HEADERS,
      connectionsCheckingInterval: this.#patience / 2,
    })
    server.setTimeout(idleTimeout, (socket) => {
      if (!this.#listener.isWorking(socket)) socket.destroy()
    })
    server.on('request', (incoming, response) => void this.#listener.handle(incoming, response, false))
    server.on('checkContinue', (incoming, response) => {
      void this.#listener.handle(incoming, response, true)
    })
    // Only a server that listens looks after headers that do not come; this one is given its connections.
    server.emit('listening')
    return server
  }

  /** What takes connections that begin with HTTP/1.1. */
  #makeToHttp1(
    { quick }: NarBridge,
    idleTimeout: number,
    onAccess: BridgeServerOptions['onAccess'],
  ): (socket: Socket) => void {
    const onLeave = (socket: Socket): void => {
      this.#silent.delete(socket)
      this.#http1.emit('connection', socket)
    }
    if (quick === undefined) return onLeave
    return (socket) => void new QuickLane(socket, { quick, idleTimeout, onAccess, onLeave })
  }

  #makeTls({ cert, key, clientCa }: BridgeServerTls): TlsServer {
    const server = createTlsServer({
      cert: Buffer.from(cert),
      key: Buffer.from(key),
      ca: clientCa && Buffer.from(clientCa),
      requestCert: clientCa !== undefined,
      ALPNProtocols: ['h2', 'http/1.1'],
      handshakeTimeout: this.#patience,
    })
    server.on('secureConnection', (socket) => {
      socket.on('error', () => {})
      if (socket.alpnProtocol === 'h2') this.#http2.connect(socket)
      else this.#http1.emit('connection', socket)
    })
    return server
  }

  /**
   * Takes a connection, and closes it in the end.
   *
   * @param via whether it is to be encrypted
   */
  connect(socket: Socket, via: { readonly tls: boolean } = { tls: false }): void {
    if (this.#sockets.size >= this.#maxConnections || this.#listener.closing) {
      socket.destroy()
      return
    }
    this.#sockets.add(socket)
    socket.once('close', () => {
      this.#sockets.delete(socket)
      this.#silent.delete(socket)
      if (this.#sockets.size === 0) this.#empty?.()
    })
    if (via.tls) {
      if (this.#tls === undefined) throw new TypeError('TLS needs a certificate')
      this.#tls.emit('connection', socket)
      return
    }
    this.#silent.add(socket)
    firstBytes(socket, this.#patience, (protocol) => {
      if (protocol === 'http1') this.#toHttp1(socket)
      else {
        this.#silent.delete(socket)
        this.#http2.connect(socket)
      }
    })
  }

  /** Takes no more requests, lets those that run end, and closes all connections. */
  async close({ grace = GRACE }: CloseOptions = {}): Promise<void> {
    this.#listener.closing = true
    const empty = new Promise<void>((resolve) => {
      this.#empty = resolve
    })
    // It does not listen itself; this ends its timers, and connections without a request.
    this.#http1.close(() => {})
    this.#http1.closeIdleConnections()
    this.#http2.close()
    for (const socket of this.#silent) socket.destroySoon()
    const timer = setTimeout(() => {
      for (const socket of this.#sockets) socket.destroy()
    }, grace)
    if (this.#sockets.size > 0) await empty
    clearTimeout(timer)
  }
}
