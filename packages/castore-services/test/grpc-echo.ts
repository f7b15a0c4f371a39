import {
  type ClientHttp2Session,
  connect,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http2'
import { type CastoreServerInit, castoreServer } from '@neve/castore-services/grpc/server'
import type { CallContext, ServiceImplementation } from 'nice-grpc'
import { framed } from '../src/grpc/message-frames.js'

const bytes = (value: Uint8Array): Uint8Array => value
const method = <Requests extends boolean, Responses extends boolean>(
  name: string,
  requestStream: Requests,
  responseStream: Responses,
) => ({
  path: `/test.Echo/${name}`,
  requestStream,
  responseStream,
  requestSerialize: bytes,
  requestDeserialize: bytes,
  responseSerialize: bytes,
  responseDeserialize: bytes,
  options: {},
})

/** A service with each kind of method; messages are bytes. */
export const ECHO = {
  One: method('One', false, false),
  Spread: method('Spread', false, true),
  Gather: method('Gather', true, false),
  Both: method('Both', true, true),
}

/** Gives back what it gets: whole, byte by byte, joined, or message by message. */
export const echo: ServiceImplementation<typeof ECHO> = {
  One: async (request) => request,
  async *Spread(request) {
    for (const byte of request) yield Uint8Array.of(byte)
  },
  async Gather(requests) {
    const pieces: Uint8Array[] = []
    for await (const piece of requests) pieces.push(piece)
    return Buffer.concat(pieces)
  },
  async *Both(requests) {
    yield* requests
  },
}

export type EchoMethods = Partial<ServiceImplementation<typeof ECHO>>
export type { CallContext }

/** A server of it on a port of its own, with a client that speaks bare HTTP/2. */
export async function echoServer(methods: EchoMethods = {}, init: CastoreServerInit = {}) {
  const server = castoreServer({
    ...init,
    extend: (to) => {
      to.add(ECHO, { ...echo, ...methods })
      init.extend?.(to)
    },
  })
  const { address, url } = await server.listen('127.0.0.1:0')
  const session = connect(`http://${address}`)
  session.on('error', () => {})
  const close = async () => {
    session.destroy()
    await server.close({ grace: 0 })
  }
  return { server, address, url, session, [Symbol.asyncDispose]: close }
}

/** What came back: the first headers, the messages, the last headers. */
export interface Answer {
  readonly headers: IncomingHttpHeaders
  readonly trailers: IncomingHttpHeaders
  readonly messages: readonly string[]
  /** With which code the stream ended. */
  readonly code: number
}

/** How a bare request is made. */
export interface BareRequest {
  readonly headers?: OutgoingHttpHeaders
  /** Bytes of the body, one write each. Default: one message, `hello`. */
  readonly body?: readonly Uint8Array[]
  /** Whether to leave the body open. */
  readonly open?: boolean
}

/** Makes a request and waits until its stream has closed. */
export function ask(session: ClientHttp2Session, name: string, request: BareRequest = {}): Promise<Answer> {
  const { headers, body = [framed(Buffer.from('hello'))], open = false } = request
  const stream = session.request({
    ':method': 'POST',
    ':path': name.startsWith('/') ? name : `/test.Echo/${name}`,
    'content-type': 'application/grpc',
    te: 'trailers',
    ...headers,
  })
  for (const piece of body) stream.write(piece)
  if (!open) stream.end()
  return new Promise((resolve) => {
    let first: IncomingHttpHeaders = {}
    let last: IncomingHttpHeaders | undefined
    const pieces: Buffer[] = []
    stream.on('response', (given) => (first = given))
    stream.on('trailers', (given) => (last = given))
    stream.on('data', (piece: Buffer) => pieces.push(piece))
    stream.on('error', () => {})
    // The answer is complete, though the request is not.
    stream.on('end', () => open && stream.close())
    stream.on('close', () =>
      resolve({
        headers: first,
        trailers: last ?? first,
        messages: unframed(Buffer.concat(pieces)),
        code: stream.rstCode ?? 0,
      }),
    )
  })
}

function unframed(all: Buffer): string[] {
  const messages: string[] = []
  for (let at = 0; at + 5 <= all.length; ) {
    const end = at + 5 + all.readUInt32BE(at + 1)
    messages.push(all.toString('utf8', at + 5, end))
    at = end
  }
  return messages
}
