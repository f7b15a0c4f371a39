import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { Reply, RequestHead } from '../exchange.js'
import type { HttpHandler } from '../http-handler.js'
import type { Access } from './request-listener.js'

/** Options of {@link QuickLane}. */
export interface QuickLaneOptions {
  readonly quick: NonNullable<HttpHandler['quick']>
  /** Milliseconds for which the client may be silent, sending or receiving. */
  readonly idleTimeout: number
  readonly onAccess: ((access: Access) => void) | undefined
  /** Gets the connection, with all that was not answered still to be read from it, when the lane has left it. */
  readonly onLeave: (socket: Socket) => void
}

const BEGIN = 'GET '
const END = ' HTTP/1.1\r\n'
/** Longer heads are not for the lane, in bytes. */
const MAX_HEAD = 4096
/** A header as the lane understands it: what is written in another way is not wrong, but somebody else's to judge. */
const HEADER = /^([A-Za-z][A-Za-z0-9-]*): ([\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)$/
/** These change what is to be answered, or how the connection goes on. */
const NOT_HERE: ReadonlySet<string> = new Set([
  ...['connection', 'content-length', 'transfer-encoding', 'expect', 'upgrade', 'http2-settings', 'te'],
  ...['trailer', 'keep-alive', 'proxy-connection', 'range', 'if-range', 'if-none-match'],
])

/** The heads of replies that are sent again and again. */
const HEADS = new WeakMap<Reply, string>()

/**
 * Answers what clients ask by the ten thousand and what can be told at once, past Node's http server, which would take
 * several times as long as the answer itself. It understands one form of request only: `GET` with headers of the plainest
 * kind, each once, whole and alone in what came. At the first thing that is anything else it leaves the connection, which
 * then is as if it had never been here.
 */
export class QuickLane {
  readonly #socket: Socket
  readonly #options: QuickLaneOptions
  /** Of the last request, with which the next one most likely agrees. */
  #fields = ''
  #headers: ReadonlyMap<string, string> = new Map()
  readonly #onData = (piece: Buffer): void => this.#take(piece)
  readonly #onDrain = (): unknown => this.#socket.resume()
  readonly #onTimeout = (): unknown => this.#socket.destroy()

  constructor(socket: Socket, options: QuickLaneOptions) {
    this.#socket = socket
    this.#options = options
    socket.setTimeout(options.idleTimeout, this.#onTimeout)
    socket.on('data', this.#onData).on('drain', this.#onDrain)
  }

  #take(piece: Buffer): void {
    const begun = performance.now()
    const target = piece.length > MAX_HEAD ? undefined : this.#read(piece.toString('latin1'))
    const reply = target === undefined ? undefined : this.#reply(target)
    const text = reply && replyText(reply, this.#options.idleTimeout)
    if (target === undefined || reply === undefined || text === undefined) this.#leave(piece)
    else this.#send(text, { target, status: reply.status, begun })
  }

  /** @returns the target of a request, whose headers are known then */
  #read(text: string): string | undefined {
    const end = text.indexOf(END)
    if (end < 0 || !text.startsWith(BEGIN)) return undefined
    const fields = text.slice(end + END.length)
    if (fields !== this.#fields) {
      const headers = parseFields(fields)
      if (headers === undefined) return undefined
      this.#fields = fields
      this.#headers = headers
    }
    const target = text.slice(BEGIN.length, end)
    return /^\/[\x21-\x7e]*$/.test(target) ? target : undefined
  }

  #reply(target: string): Reply | undefined {
    const headers = this.#headers
    const head: RequestHead = { method: 'GET', target, header: (name) => headers.get(name) }
    return this.#options.quick(head)
  }

  #send(
    text: string,
    { target, status, begun }: { readonly target: string; readonly status: number; readonly begun: number },
  ): void {
    const socket = this.#socket
    const { onAccess } = this.#options
    const client = socket.remoteAddress ?? ''
    const told = (error?: Error | null): void => {
      onAccess?.({
        ...{ client, method: 'GET', target, status, bytes: text.length },
        milliseconds: performance.now() - begun,
        // Node tells of no error where the connection was closed under a write.
        whole: !error && !socket.destroyed,
      })
    }
    // Who does not take what it asked for may ask no more.
    if (!socket.write(text, 'latin1', onAccess && told)) socket.pause()
  }

  #leave(piece: Buffer): void {
    const socket = this.#socket
    socket.off('data', this.#onData).off('drain', this.#onDrain).off('timeout', this.#onTimeout)
    socket.setTimeout(0)
    socket.unshift(piece)
    this.#options.onLeave(socket)
  }
}

/** @param text of all headers, and the empty line behind them */
function parseFields(text: string): ReadonlyMap<string, string> | undefined {
  if (!text.endsWith('\r\n\r\n')) return undefined
  const headers = new Map<string, string>()
  for (const line of text.slice(0, -4).split('\r\n')) {
    const [, name, value] = HEADER.exec(line) ?? []
    if (name === undefined || value === undefined) return undefined
    const lower = name.toLowerCase()
    const goesOn = lower === 'connection' && value.toLowerCase() === 'keep-alive'
    if ((NOT_HERE.has(lower) && !goesOn) || headers.has(lower)) return undefined
    headers.set(lower, value)
  }
  return headers.has('host') ? headers : undefined
}

/** A reply as Node's http server would send it; undefined for what has other than ASCII, or comes in pieces. */
function replyText(reply: Reply, idleTimeout: number): string | undefined {
  const { status, headers, body } = reply
  if (typeof body !== 'string') return undefined
  let head = HEADS.get(reply)
  if (head === undefined) {
    if (Buffer.byteLength(body) !== body.length) return undefined
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
    head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${lines.join('')}`
    HEADS.set(reply, head)
  }
  const timeout = Math.floor(idleTimeout / 1000)
  return `${head}Date: ${date()}\r\nConnection: keep-alive\r\nKeep-Alive: timeout=${timeout}\r\n\r\n${body}`
}

let now = { second: 0, text: '' }

function date(): string {
  const second = Math.floor(Date.now() / 1000)
  if (second !== now.second) now = { second, text: new Date(second * 1000).toUTCString() }
  return now.text
}
