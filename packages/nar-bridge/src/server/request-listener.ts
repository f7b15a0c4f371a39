import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { textReply } from '../exchange.js'
import type { NarBridge } from '../nar-bridge.js'
import { NodeRequest } from './node-request.js'
import { sendReply } from './send-reply.js'

/** What happened to one request. */
export interface Access {
  /** The address of the client; empty over a unix socket. */
  readonly client: string
  readonly method: string
  /** Path and query, as they came. */
  readonly target: string
  readonly status: number
  /** Of the body, as far as it was sent. */
  readonly bytes: number
  readonly milliseconds: number
  /** Whether the client got all of it. */
  readonly whole: boolean
}

const AMBIGUOUS = textReply('expected Host and Authorization once\n', { status: 400 })

/** What of an upload that was refused is still taken from the client, so that it reads why, in bytes. */
const LINGER_BYTES = 4 * 1024 * 1024
/** The same in milliseconds. */
const LINGER_TIME = 2000

/** Answers the requests of a Node http server. */
export class RequestListener {
  readonly #bridge: NarBridge
  readonly #onAccess: ((access: Access) => void) | undefined
  /** Connections on which we have to do something before anything can be sent. */
  readonly #working = new Set<Socket>()
  /** Whether connections are to end with the request that they have. */
  closing = false

  constructor(bridge: NarBridge, onAccess?: (access: Access) => void) {
    this.#bridge = bridge
    this.#onAccess = onAccess
  }

  /** Whether silence on a connection is ours, not the client's. */
  isWorking(socket: Socket): boolean {
    return this.#working.has(socket)
  }

  /** @param expects whether the client waits for word before it sends a body */
  async handle(incoming: IncomingMessage, response: ServerResponse, expects: boolean): Promise<void> {
    const { socket } = incoming
    if (this.#onAccess !== undefined) this.#watch(incoming, response, this.#onAccess)
    const work = () => this.#working.add(socket)
    let hasBody = false
    const request = new NodeRequest(incoming, response, () => {
      if (hasBody) return
      hasBody = true
      this.#working.delete(socket)
      incoming.once('end', work)
      if (expects) response.writeContinue()
    })
    work()
    const reply = isAmbiguous(incoming.rawHeaders) ? AMBIGUOUS : await this.#bridge.answer(request)
    incoming.off('end', work)
    this.#working.delete(socket)
    const unread = !incoming.complete && incoming.method !== 'GET' && incoming.method !== 'HEAD'
    if (unread || this.closing) response.setHeader('connection', 'close')
    if (unread) linger(incoming, response)
    await sendReply(response, reply)
    if (this.closing) socket.destroySoon()
  }

  #watch(incoming: IncomingMessage, response: ServerResponse, onAccess: (access: Access) => void): void {
    const begun = performance.now()
    const { socket, method = '', url: target = '' } = incoming
    const before = socket.bytesWritten
    const client = socket.remoteAddress ?? ''
    response.once('close', () => {
      onAccess({
        client,
        method,
        target,
        status: response.statusCode,
        bytes: socket.bytesWritten - before,
        milliseconds: performance.now() - begun,
        whole: response.writableFinished,
      })
    })
  }
}

/**
 * Whether a header that decides who may do what, and where, came twice: Node takes the first, proxies may take the last
 * (RFC 9112 section 3.2).
 */
function isAmbiguous(rawHeaders: readonly string[]): boolean {
  let [hosts, authorizations] = [0, 0]
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!
    if (name.length === 4 && name.toLowerCase() === 'host') hosts++
    else if (name.length === 13 && name.toLowerCase() === 'authorization') authorizations++
  }
  return hosts > 1 || authorizations > 1
}

/** A client that is refused in the middle of its upload reads the reply only if what it sends is taken for a while. */
function linger(incoming: IncomingMessage, response: ServerResponse): void {
  let taken = 0
  incoming.on('data', (piece: Buffer) => {
    taken += piece.length
    if (taken > LINGER_BYTES) incoming.socket.destroy()
  })
  response.once('finish', () => {
    const timer = setTimeout(() => incoming.socket.destroy(), LINGER_TIME)
    incoming.socket.once('close', () => clearTimeout(timer))
  })
}
