import {
  createSecureServer,
  createServer,
  type Http2SecureServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2'
import type { Duplex } from 'node:stream'

/** What a server shows, and whom it lets in. Everything is PEM. */
export interface GrpcServerTls {
  readonly cert: Uint8Array
  /** The private key of `cert`. */
  readonly key: Uint8Array
  /** Lets in only clients with a certificate that one of these authorities signed. Default: everybody. */
  readonly clientCa?: Uint8Array | undefined
}

/** How an {@link Http2Endpoint} is made. */
export interface Http2EndpointInit {
  readonly onStream: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void
  readonly tls?: GrpcServerTls | undefined
  /** How much a client may send ahead of what was taken, in bytes: by connection, and by call. */
  readonly window: number
  readonly maxConcurrentCalls: number
  /** The longest that a client may take to say that it speaks HTTP/2, in milliseconds. */
  readonly connectTimeout: number
}

/** How often to ask a client that is silent whether it is still there: its uploads hold memory. */
const KEEP_ALIVE_INTERVAL = 120_000
/** The longest that the answer to a ping may take, in milliseconds. */
const PING_TIMEOUT = 20_000
/** How long a socket is left to a client after an error, to read what it was told, in milliseconds. */
const LINGER = 1000

/** Where connections come in, and what becomes of them. */
export class Http2Endpoint {
  readonly #server: Http2Server | Http2SecureServer
  readonly #window: number
  readonly #connectTimeout: number
  readonly #sessions = new Set<ServerHttp2Session>()
  readonly #sockets = new Set<Duplex>()
  /** The socket whose session is about to be made. */
  #arriving: Duplex | undefined
  #closing: Promise<void> | undefined

  constructor(init: Http2EndpointInit) {
    const { onStream, tls, window, maxConcurrentCalls, connectTimeout } = init
    this.#window = window
    this.#connectTimeout = connectTimeout
    const options = {
      settings: { initialWindowSize: window, maxConcurrentStreams: maxConcurrentCalls },
      // The windows bound what a client may send; reaching a lower limit of memory would break its connection.
      maxSessionMemory: Number.MAX_SAFE_INTEGER,
    }
    this.#server =
      tls === undefined
        ? createServer(options)
        : createSecureServer({ ...options, ...pem(tls), handshakeTimeout: connectTimeout })
    const arrives = (socket: Duplex): void => {
      this.#arriving = socket
    }
    this.#server.prependListener('connection', (socket: Duplex) => {
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
      arrives(socket)
    })
    this.#server.prependListener('secureConnection', arrives)
    this.#server.on('session', (session) => this.#welcome(session))
    this.#server.on('stream', onStream)
    for (const event of ['sessionError', 'tlsClientError']) this.#server.on(event, () => {})
  }

  /** Serves one connection, and waits until it is over. */
  async accept(connection: Duplex): Promise<void> {
    if (connection.destroyed) return
    connection.on('error', () => {})
    const closed = new Promise<void>((resolve) => connection.once('close', resolve))
    this.#server.emit('connection', connection)
    await closed
  }

  /**
   * Takes no connections and no calls any more, and ends once calls that run have ended.
   *
   * @param grace after so many milliseconds they are cut off
   */
  close(grace: number): Promise<void> {
    this.#closing ??= this.#close(grace)
    return this.#closing
  }

  async #close(grace: number): Promise<void> {
    for (const session of this.#sessions) session.close()
    let timer: NodeJS.Timeout | undefined
    // A session that a broken client brought down may never say that it is over: nobody waits for that.
    const forced = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, grace)
    })
    const ended = [...this.#sessions].map(
      (session) => new Promise<unknown>((resolve) => session.once('close', resolve)),
    )
    await Promise.race([forced, Promise.all(ended)])
    clearTimeout(timer)
    for (const session of this.#sessions) session.destroy()
    for (const socket of this.#sockets) socket.destroy()
  }

  #welcome(session: ServerHttp2Session): void {
    const socket = this.#arriving!
    this.#sessions.add(session)
    // A fresh connection of HTTP/2 has 64 KiB: uploads would be half as fast, and crawl on a long line.
    session.setLocalWindowSize(this.#window)
    const drop = (): void => {
      session.destroy()
      socket.destroy()
    }
    let waiting: NodeJS.Timeout | undefined = setTimeout(drop, this.#connectTimeout)
    const answered = (): void => clearTimeout(waiting)
    session.once('remoteSettings', answered)
    const asking = setInterval(() => {
      clearTimeout(waiting)
      waiting = setTimeout(drop, PING_TIMEOUT)
      if (!session.ping(answered)) answered()
    }, KEEP_ALIVE_INTERVAL)
    // A session that fails may leave its socket to the client, for ever.
    session.on('error', () => setTimeout(() => socket.destroy(), LINGER).unref())
    session.once('close', () => {
      clearInterval(asking)
      answered()
      this.#sessions.delete(session)
    })
    if (this.#closing !== undefined) session.close()
  }
}

function pem({ cert, key, clientCa }: GrpcServerTls) {
  return {
    cert: Buffer.from(cert),
    key: Buffer.from(key),
    ca: clientCa && Buffer.from(clientCa),
    requestCert: clientCa !== undefined,
    rejectUnauthorized: clientCa !== undefined,
  }
}
