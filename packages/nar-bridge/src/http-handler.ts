import { type BridgeRequest, discard, type Reply, type ReplyStream, type RequestHead } from './exchange.js'
import { answerFetch } from './fetch-handler.js'
import { refusal } from './refusal.js'

/** Answers requests, for any server. */
export interface HttpHandler {
  /** As a web-standard fetch handler. Bodies fail when they cannot be sent whole. */
  (request: Request): Promise<Response>
  /** The same for servers that need no Request and no Response. Never rejects. */
  answer(request: BridgeRequest): Promise<Reply>
  /**
   * The reply to a GET that can be told at once, as `answer` would give it; undefined for all others, which `answer` is to
   * be asked for. Never throws. The reply may be one that was given before.
   */
  readonly quick?: ((request: RequestHead) => Reply | undefined) | undefined
}

/** Told of failures that are not a client's. */
export type ErrorListener = (request: BridgeRequest, error: unknown) => void

/**
 * A handler of what finds replies, or throws what {@link refusal} makes replies of. It answers HEAD with the headers of
 * GET.
 *
 * @param known what of it can be told at once; what it throws `find` is to throw again
 */
export function httpHandler(
  find: (request: BridgeRequest) => Promise<Reply>,
  onError: ErrorListener | undefined,
  known?: (request: RequestHead) => Reply | undefined,
): HttpHandler {
  const answer = (request: BridgeRequest) => answered(find, request, onError)
  const quick = (request: RequestHead): Reply | undefined => {
    try {
      return known?.(request)
    } catch {
      return undefined
    }
  }
  return Object.assign((request: Request) => answerFetch(answer, request), { answer, quick })
}

async function answered(
  find: (request: BridgeRequest) => Promise<Reply>,
  request: BridgeRequest,
  onError: ErrorListener | undefined,
): Promise<Reply> {
  let reply: Reply
  try {
    reply = await find(request)
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
  onError: ErrorListener,
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
