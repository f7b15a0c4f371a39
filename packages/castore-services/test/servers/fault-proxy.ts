import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What becomes of one request. */
export type Fault =
  /** It passes. */
  | { readonly kind: 'none' }
  /** It is answered with this status, and does not reach the server. */
  | {
      readonly kind: 'status'
      readonly status: number
      readonly body?: string
      readonly headers?: Record<string, string>
    }
  /** The connection is cut before an answer; the server has seen the request, or has not. */
  | { readonly kind: 'reset'; readonly after: 'request' | 'nothing' }
  /** The answer's body ends after so many bytes, the connection too. */
  | { readonly kind: 'cut'; readonly bytes: number }
  /** Nothing ever comes. */
  | { readonly kind: 'silence' }

/** What the proxy saw of a request. */
export interface SeenRequest {
  readonly method: string
  readonly path: string
}

/** Stands between a store and its server, and spoils what it is told to. */
export class FaultProxy {
  readonly #server: Server
  readonly requests: SeenRequest[] = []
  /** Decides about each request; its number counts from 0. */
  fault: (seen: SeenRequest, number: number) => Fault = () => ({ kind: 'none' })
  /** Requests that are being worked on, and the most there were at once. */
  #running = 0
  mostRunning = 0

  private constructor(target: string) {
    this.#server = createServer((incoming, answer) => this.#handle(new URL(target), incoming, answer))
  }

  static async start(target: string): Promise<FaultProxy> {
    const proxy = new FaultProxy(target)
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve))
    return proxy
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve))
    this.#server.closeAllConnections()
    await closed
  }

  #handle(target: URL, incoming: IncomingMessage, answer: ServerResponse): void {
    const seen = { method: incoming.method ?? '', path: incoming.url ?? '' }
    const fault = this.fault(seen, this.requests.push(seen) - 1)
    this.mostRunning = Math.max(this.mostRunning, ++this.#running)
    answer.once('close', () => this.#running--)
    switch (fault.kind) {
      case 'status':
        incoming.resume()
        answer.writeHead(fault.status, fault.headers).end(incoming.method === 'HEAD' ? undefined : fault.body)
        return
      case 'silence':
        incoming.resume()
        return
      case 'reset':
        if (fault.after === 'nothing') incoming.socket.destroy()
        else forward(target, incoming, () => incoming.socket.destroy())
        return
      case 'cut':
        forward(target, incoming, (from) => cut(from, answer, fault.bytes))
        return
      default:
        forward(target, incoming, (from) => {
          answer.writeHead(from.statusCode ?? 500, from.headers)
          from.pipe(answer)
        })
    }
  }
}

function forward(target: URL, incoming: IncomingMessage, onAnswer: (answer: IncomingMessage) => void): void {
  const { method, headers, url: path } = incoming
  const onward = request(
    { host: target.hostname, port: target.port, method, headers, path, agent: false },
    onAnswer,
  )
  onward.on('error', () => incoming.socket.destroy())
  incoming.pipe(onward)
}

function cut(from: IncomingMessage, answer: ServerResponse, bytes: number): void {
  answer.writeHead(from.statusCode ?? 500, from.headers)
  let left = bytes
  from.on('data', (piece: Buffer) => {
    answer.write(piece.subarray(0, left))
    left -= piece.length
    if (left <= 0) setImmediate(() => answer.destroy())
  })
  from.on('end', () => answer.destroy())
}
