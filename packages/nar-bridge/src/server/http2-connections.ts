import {
  constants,
  createServer,
  type Http2Server,
  type Http2Session,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2'
import type { Duplex } from 'node:stream'
import type { BridgeRequest } from '../exchange.js'
import type { NarBridge } from '../nar-bridge.js'
import type { Access } from './request-listener.js'
import { sendBody, sendsNothing } from './send-reply.js'

/** Limits of {@link Http2Connections}. */
export interface Http2Options {
  /** Milliseconds for which a client may be silent. */
  readonly idleTimeout: number
  /** In bytes. */
  readonly maxHeaders: number
  readonly onAccess?: ((access: Access) => void) | undefined
}

/** The most requests at once over one connection. */
const MAX_STREAMS = 100
/** What a client may send of one body before it is read: more than HTTP/2's 64 KiB, or uploads would wait. */
const WINDOW = 1024 * 1024

/** Answers requests over HTTP/2, on connections that it is given. */
export class Http2Connections {
  readonly #bridge: NarBridge
  readonly #options: Http2Options
  readonly #server: Http2Server
  readonly #sessions = new Set<ServerHttp2Session>()
  /** Requests of which the next step is ours, by session. */
  readonly #working = new WeakMap<Http2Session, number>()
  #closing = false

  constructor(bridge: NarBridge, options: Http2Options) {
    this.#bridge = bridge
    this.#options = options
    this.#server = createServer({
      settings: {
        maxConcurrentStreams: MAX_STREAMS,
        initialWindowSize: WINDOW,
        maxHeaderListSize: options.maxHeaders,
        enablePush: false,
      },
    })
    this.#server.on('session', (session) => this.#watch(session))
    this.#server.on('sessionError', () => {})
    this.#server.on('stream', (stream, headers) => {
      stream.on('error', () => {})
      // What is told to clients binds nobody (RFC 9113 section 10.5.1).
      if (sizeOf(headers) > options.maxHeaders) {
        stream.respond({ ':status': 431 }, { endStream: true })
        stream.close(constants.NGHTTP2_NO_ERROR)
      } else void this.#answer(stream, headers)
    })
  }

  /** Takes a connection of which nothing has been read. */
  connect(socket: Duplex): void {
    this.#server.emit('connection', socket)
  }

  /** Takes no more requests; connections end with those that run. */
  close(): void {
    this.#closing = true
    for (const session of this.#sessions) session.close()
  }

  #watch(session: ServerHttp2Session): void {
    this.#sessions.add(session)
    session.once('close', () => this.#sessions.delete(session))
    session.setTimeout(this.#options.idleTimeout, () => {
      if (!this.#working.get(session)) session.destroy()
    })
    if (this.#closing) session.close()
  }

  async #answer(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): Promise<void> {
    const { session } = stream
    if (session === undefined) return
    const begun = performance.now()
    const work = (change: 1 | -1) =>
      this.#working.set(session, Math.max((this.#working.get(session) ?? 0) + change, 0))
    const request = new Http2Request(stream, headers, () => work(-1))
    work(1)
    const reply = await this.#bridge.answer(request)
    // A body that was read hands the work back at its end.
    if (!request.hasBody) work(-1)
    let bytes = 0
    const { onAccess } = this.#options
    if (onAccess !== undefined) {
      const client = session.socket.remoteAddress ?? ''
      stream.once('close', () => {
        onAccess({
          ...{ client, method: request.method, target: request.target, status: reply.status, bytes },
          milliseconds: performance.now() - begun,
          whole: stream.rstCode === constants.NGHTTP2_NO_ERROR && stream.writableFinished,
        })
      })
    }
    if (stream.destroyed || stream.closed) {
      await sendsNothing(reply)
      return
    }
    stream.respond({ ':status': reply.status, ...reply.headers })
    try {
      await sendBody(stream, reply, (length) => {
        bytes += length
      })
      // What is still to come of an upload that was refused is not waited for.
      if (!stream.readableEnded) stream.once('finish', () => stream.close(constants.NGHTTP2_NO_ERROR))
    } catch (error) {
      // To close it would end it first, as if the body were whole.
      stream.destroy(error instanceof Error ? error : new Error(String(error)))
    }
  }
}

/** As HTTP/2 counts them, in bytes. */
function sizeOf(headers: IncomingHttpHeaders): number {
  let size = 0
  for (const name in headers) {
    const value = headers[name] ?? ''
    size += name.length + value.length + 32
    if (Array.isArray(value)) for (const one of value) size += one.length
  }
  return size
}

/** A request over HTTP/2. */
class Http2Request implements BridgeRequest {
  readonly method: string
  readonly target: string
  hasBody = false
  readonly #stream: ServerHttp2Stream
  readonly #headers: IncomingHttpHeaders
  readonly #onBody: () => void
  #controller: AbortController | undefined

  /** @param onBody called when somebody begins to read the body */
  constructor(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, onBody: () => void) {
    this.method = headers[':method'] ?? ''
    this.target = headers[':path'] ?? ''
    this.#stream = stream
    this.#headers = headers
    this.#onBody = onBody
  }

  get isEncrypted(): boolean {
    return this.#stream.session?.encrypted === true
  }

  header(name: string): string | undefined {
    // HTTP/2 has a name of its own for the host.
    const value = this.#headers[name] ?? (name === 'host' ? this.#headers[':authority'] : undefined)
    return Array.isArray(value) ? value.join(', ') : value
  }

  get body(): AsyncIterable<Uint8Array> {
    if (!this.hasBody) {
      this.hasBody = true
      this.#onBody()
      if (this.#headers['expect']?.toLowerCase() === '100-continue') {
        this.#stream.additionalHeaders({ ':status': 100 })
      }
    }
    return this.#stream.iterator({ destroyOnReturn: false })
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      const controller = new AbortController()
      this.#controller = controller
      const gone = () => {
        if (!this.#stream.writableFinished) controller.abort(new Error('the client went away'))
      }
      if (this.#stream.closed) gone()
      else this.#stream.once('close', gone)
    }
    return this.#controller.signal
  }
}
