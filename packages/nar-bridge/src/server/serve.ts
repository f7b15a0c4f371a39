import { once } from 'node:events'
import { chmod } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { NarBridge } from '../nar-bridge.js'
import { type Access, RequestListener } from './request-listener.js'

/** Options of {@link serve}. */
export interface ServeOptions {
  /** `127.0.0.1:9000`, `[::1]:0`, or `unix:/run/neve-http.sock`. Port 0 is any that is free. */
  readonly listen: string
  /** Permissions of a socket file, such as 0o660. Default: by umask. */
  readonly socketMode?: number | undefined
  /** Milliseconds for which a client may be silent, sending or receiving. Default: 60,000. */
  readonly idleTimeout?: number | undefined
  /** The most connections at once. Default: 4096. */
  readonly maxConnections?: number | undefined
  /** Told of every request once it is over. Default: nobody is. */
  readonly onAccess?: ((access: Access) => void) | undefined
}

/** A server that runs. */
export interface BridgeServer extends AsyncDisposable {
  /** Where clients find it: `http://127.0.0.1:9000`, `unix:/run/neve-http.sock`. */
  readonly url: string
  /**
   * Takes no more requests, and lets those that run end.
   *
   * @param grace milliseconds after which they are cut off. Default: 10,000
   */
  close(options?: { readonly grace?: number | undefined }): Promise<void>
}

const IDLE_TIMEOUT = 60_000
const MAX_CONNECTIONS = 4096
const HEADERS_TIMEOUT = 30_000
const MAX_HEADERS = 16 * 1024
const GRACE = 10_000

/**
 * Serves a bridge over HTTP/1.1. Requests may take as long as they need: what ends them is silence. Dispose of the
 * server to end it.
 *
 * @throws CastoreError `invalid-input` for an address that is none, `unavailable` when somebody answers there; errors of
 *   the system
 */
export async function serve(bridge: NarBridge, options: ServeOptions): Promise<BridgeServer> {
  const { idleTimeout = IDLE_TIMEOUT, maxConnections = MAX_CONNECTIONS, onAccess } = options
  const listener = new RequestListener(bridge, onAccess)
  const server = createServer({
    noDelay: true,
    keepAlive: true,
    keepAliveTimeout: idleTimeout,
    headersTimeout: Math.min(HEADERS_TIMEOUT, idleTimeout),
    requestTimeout: 0,
    maxHeaderSize: MAX_HEADERS,
    connectionsCheckingInterval: Math.min(HEADERS_TIMEOUT, idleTimeout) / 2,
  })
  server.maxConnections = maxConnections
  server.setTimeout(idleTimeout, (socket) => {
    if (!listener.isWorking(socket)) socket.destroy()
  })
  server.on('request', (incoming, response) => void listener.handle(incoming, response, false))
  server.on('checkContinue', (incoming, response) => void listener.handle(incoming, response, true))
  const url = await listen(server, options)
  let closing: Promise<void> | undefined
  const close: BridgeServer['close'] = ({ grace = GRACE } = {}) => {
    listener.closing = true
    closing ??= closed(server, grace)
    return closing
  }
  return { url, close, [Symbol.asyncDispose]: () => close() }
}

async function listen(server: Server, { listen: text, socketMode }: ServeOptions): Promise<string> {
  const { clearStaleSocket, parseListenAddress } = await import('@neve/castore-services/grpc/server')
  const address = parseListenAddress(text)
  if (address.kind === 'unix') {
    await clearStaleSocket(address.path)
    server.listen(address.path)
  } else server.listen(address.port, address.host.replace(/^\[(.*)\]$/, '$1'))
  await once(server, 'listening')
  if (address.kind === 'unix') {
    if (socketMode !== undefined) await chmod(address.path, socketMode)
    return `unix:${address.path}`
  }
  return `http://${address.host}:${(server.address() as AddressInfo).port}`
}

async function closed(server: Server, grace: number): Promise<void> {
  const ended = new Promise<void>((resolve) => {
    server.close(() => resolve())
  })
  const timer = setTimeout(() => server.closeAllConnections(), grace)
  await ended
  clearTimeout(timer)
}
