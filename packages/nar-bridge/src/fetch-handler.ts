import { copyOf } from './copies.js'
import type { BridgeRequest, Reply, ReplyStream } from './exchange.js'
import type { HttpHandler } from './http-handler.js'

/** Answers a web-standard request. */
export async function answerFetch(answer: HttpHandler['answer'], request: Request): Promise<Response> {
  const { pathname, search, host, protocol } = new URL(request.url)
  const asked: BridgeRequest = {
    method: request.method,
    target: pathname + search,
    header: (name) => request.headers.get(name) ?? (name === 'host' ? host : undefined),
    isEncrypted: protocol === 'https:',
    body: bodyOf(request),
    signal: request.signal,
  }
  const { status, headers, body } = await answer(asked)
  return new Response(responseBody(body), { status, headers: { ...headers } })
}

async function* bodyOf({ body }: Request): AsyncGenerator<Uint8Array, void, undefined> {
  if (body !== null) yield* body
}

function responseBody(body: Reply['body']): ConstructorParameters<typeof Response>[0] {
  if (body === undefined) return null
  if (typeof body === 'string') return body
  if (body instanceof Uint8Array) return new Uint8Array(body)
  return streamOf(body)
}

function streamOf({ source, length }: ReplyStream): ReadableStream<Uint8Array> {
  const iterator = source[Symbol.asyncIterator]()
  let left = length
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await iterator.next()
      if (done !== true) {
        if (left !== undefined) left -= BigInt(value.length)
        // Whoever reads the stream may keep what it read.
        controller.enqueue(copyOf(value))
      } else if (left === undefined || left === 0n) controller.close()
      else throw new Error(`the body has another length than was announced: ${left} bytes less`)
    },
    async cancel() {
      await iterator.return?.()
    },
  })
}
