import type { BridgeStore, NarBridgeOptions } from './bridge-options.js'
import { type BridgeRequest, discard, type Reply, type ReplyStream } from './exchange.js'
import { answerFetch } from './fetch-handler.js'
import { refusal } from './refusal.js'
import { Routes } from './routes.js'

/** A binary cache, for any server. */
export interface NarBridge {
  /** As a web-standard fetch handler. Bodies fail when they cannot be sent whole. */
  (request: Request): Promise<Response>
  /** The same for servers that need no Request and no Response. Never rejects. */
  answer(request: BridgeRequest): Promise<Reply>
}

/**
 * Serves a store as a Nix binary cache (spec 08 section 5). The store stays open.
 *
 * @example
 * ```ts
 * const server = await serve(narBridge(store), { listen: '[::1]:9000' })
 * ```
 */
export function narBridge(store: BridgeStore, options: NarBridgeOptions = {}): NarBridge {
  const routes = new Routes(store, options)
  const answer = (request: BridgeRequest) => answered(routes, request, options.onError)
  return Object.assign((request: Request) => answerFetch(answer, request), { answer })
}

async function answered(
  routes: Routes,
  request: BridgeRequest,
  onError: NarBridgeOptions['onError'],
): Promise<Reply> {
  let reply: Reply
  try {
    reply = await routes.answer(request)
  } catch (error) {
    const refused = refusal(error)
    if (refused.isOurs && !request.signal.aborted) onError?.(request, error)
    reply = refused.reply
  }
  if (request.method === 'HEAD') {
    await discard(reply.body)
    return { status: reply.status, headers: reply.headers }
  }
  const { body } = reply
  if (typeof body !== 'object' || !('source' in body) || onError === undefined) return reply
  return { ...reply, body: { ...body, source: told(body, request, onError) } }
}

/** Whoever runs the server hears of a body that could not be sent whole. */
function told(
  { source }: ReplyStream,
  request: BridgeRequest,
  onError: NonNullable<NarBridgeOptions['onError']>,
): AsyncIterable<Uint8Array> {
  const iterator = source[Symbol.asyncIterator]()
  const telling: AsyncIterator<Uint8Array> = {
    async next() {
      try {
        return await iterator.next()
      } catch (error) {
        if (!request.signal.aborted) onError(request, error)
        throw error
      }
    },
    async return() {
      await iterator.return?.()
      return { done: true, value: undefined }
    },
  }
  return { [Symbol.asyncIterator]: () => telling }
}
