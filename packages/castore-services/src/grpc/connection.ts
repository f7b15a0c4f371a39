import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect as connectHttp2,
  constants,
  type OutgoingHttpHeaders,
  sensitiveHeaders,
} from 'node:http2'
import type { Socket } from 'node:net'

/** How a {@link Connection} is made. Times in milliseconds. */
export interface ConnectionInit {
  /** Begins to connect; `h2` has to be agreed on where there is TLS. */
  readonly dial: () => Socket
  readonly scheme: 'http' | 'https'
  /** What to call the server in requests. */
  readonly authority: string
  /** What to show the server with each call. */
  readonly token: string | undefined
  /** The longest that it may take until the server has said that it speaks HTTP/2. */
  readonly connectTimeout: number
  /** How often to ask a server, while calls run, whether it is still there. 0: never. */
  readonly keepAliveInterval: number
  /** How much the server may send ahead, in bytes. */
  readonly window: number
  /** The longest message that calls accept, in bytes: the server is told. */
  readonly maxMessageSize: number
}

/** The header in which a client says how long a message it accepts, in bytes; others are taken to accept 4 MiB. */
export const MAX_MESSAGE_SIZE_HEADER = 'neve-max-message-size'

/** A call that runs over a connection. */
export interface RunningCall {
  /** The connection is of no use any more. */
  lost(reason: string): void
}

/** The longest that the answer to a ping may take. */
const KEEP_ALIVE_TIMEOUT = 20_000

/** One HTTP/2 connection that stands. It does not keep the process alive but while calls run. */
export class Connection {
  readonly #session: ClientHttp2Session
  readonly #init: ConnectionInit
  readonly #calls = new Set<RunningCall>()
  // Kept out of the tables in which HTTP/2 remembers headers.
  readonly #authorization: OutgoingHttpHeaders
  #keepAlive: NodeJS.Timeout | undefined
  #usable = true

  private constructor(session: ClientHttp2Session, socket: Socket, init: ConnectionInit) {
    this.#session = session
    this.#init = init
    this.#authorization =
      init.token === undefined
        ? {}
        : { authorization: `Bearer ${init.token}`, [sensitiveHeaders]: ['authorization'] }
    session.setLocalWindowSize(init.window)
    session.unref()
    session.on('goaway', () => {
      // What runs may end; nothing new is to begin.
      this.#usable = false
      session.close()
    })
    // A session that fails says so when its socket has closed, which one of TLS may never do.
    for (const source of [session, socket]) {
      source.on('error', (error: Error) => this.#lose(reasonOf(error)))
      source.on('close', () => this.#lose('connection dropped'))
    }
  }

  /** @throws Error that says in words why there is none */
  static open(init: ConnectionInit): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const socket = init.dial()
      const session = connectHttp2(`${init.scheme}://${init.authority}`, {
        createConnection: () => socket,
        settings: { enablePush: false, initialWindowSize: init.window },
        // The windows bound what a server may send; reaching a lower limit of memory would break the connection.
        maxSessionMemory: Number.MAX_SAFE_INTEGER,
      })
      const fail = (error: unknown): void => {
        clearTimeout(timer)
        session.destroy()
        socket.destroy()
        reject(error instanceof Error ? error : new Error(String(error)))
      }
      const onError = (error: Error): void => fail(new Error(reasonOf(error), { cause: error }))
      const onClose = (): void => fail(new Error('connection closed before the server answered'))
      const timer = setTimeout(() => {
        fail(new Error(`no answer within ${init.connectTimeout} ms`))
      }, init.connectTimeout)
      for (const source of [session, socket]) {
        source.on('error', onError)
        source.on('close', onClose)
      }
      session.once('remoteSettings', () => {
        clearTimeout(timer)
        // Errors are listened to without a gap: one that nobody hears ends the process.
        const connection = new Connection(session, socket, init)
        for (const source of [session, socket]) {
          source.off('error', onError)
          source.off('close', onClose)
        }
        resolve(connection)
      })
    })
  }

  /** Whether calls may begin. */
  get usable(): boolean {
    return this.#usable && !this.#session.closed && !this.#session.destroyed
  }

  /**
   * Begins a request, of which the body follows.
   *
   * @param headers beside those that every request has
   * @throws when the connection broke in this moment
   */
  request(call: RunningCall, path: string, headers?: Readonly<Record<string, string>>): ClientHttp2Stream {
    const stream = this.#session.request({
      [constants.HTTP2_HEADER_METHOD]: 'POST',
      [constants.HTTP2_HEADER_SCHEME]: this.#init.scheme,
      [constants.HTTP2_HEADER_AUTHORITY]: this.#init.authority,
      [constants.HTTP2_HEADER_PATH]: path,
      [constants.HTTP2_HEADER_CONTENT_TYPE]: 'application/grpc',
      [constants.HTTP2_HEADER_TE]: 'trailers',
      [constants.HTTP2_HEADER_USER_AGENT]: 'neve',
      [MAX_MESSAGE_SIZE_HEADER]: String(this.#init.maxMessageSize),
      ...this.#authorization,
      ...headers,
    })
    this.#calls.add(call)
    if (this.#calls.size === 1) this.#wake()
    return stream
  }

  /** Says that a call is over. */
  release(call: RunningCall): void {
    if (!this.#calls.delete(call) || this.#calls.size > 0) return
    clearInterval(this.#keepAlive)
    this.#keepAlive = undefined
    if (!this.#session.destroyed) this.#session.unref()
  }

  /** Ends the connection and what runs over it. */
  close(): void {
    this.#lose('the channel was closed')
    this.#session.close()
    // Resets of the calls go out first.
    setImmediate(() => this.#session.destroy())
  }

  #wake(): void {
    this.#session.ref()
    const { keepAliveInterval } = this.#init
    if (keepAliveInterval > 0) this.#keepAlive = setInterval(() => this.#ping(), keepAliveInterval)
  }

  #ping(): void {
    const timer = setTimeout(() => this.#session.destroy(), KEEP_ALIVE_TIMEOUT)
    const sent = this.#session.ping(() => clearTimeout(timer))
    if (!sent) clearTimeout(timer)
  }

  #lose(reason: string): void {
    this.#usable = false
    for (const call of [...this.#calls]) call.lost(reason)
  }
}

/** What an error says; one of several attempts says nothing itself. */
function reasonOf(error: Error): string {
  if (error.message !== '') return error.message
  return error instanceof AggregateError ? error.errors.map(String).join('; ') : error.name
}
