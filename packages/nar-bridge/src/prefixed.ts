import { type BridgeRequest, type Reply, type RequestHead, textReply } from './exchange.js'
import { answerFetch } from './fetch-handler.js'
import type { HttpHandler } from './http-handler.js'
import { absent } from './narinfo-routes.js'

/** A handler, and the path below which it answers: `/team`, or nothing for all that no other one answers. */
export interface PrefixedHandler {
  readonly prefix: string
  readonly handler: HttpHandler
}

/**
 * Several handlers, such as binary caches, on one address: the longest prefix decides, by whole names. What stands below
 * no prefix is not found.
 *
 * @throws TypeError for a prefix that is there twice, or that is not made of names with a slash before each
 */
export function prefixed(handlers: readonly PrefixedHandler[]): HttpHandler {
  const known = new Set<string>()
  for (const { prefix } of handlers) {
    if (!/^(?:\/[A-Za-z0-9._~-]+)*$/.test(prefix)) throw new TypeError(`expected a path, got ${prefix}`)
    if (known.has(prefix)) throw new TypeError(`expected each prefix once, got ${prefix} again`)
    known.add(prefix)
  }
  const ordered = [...handlers].sort((a, b) => b.prefix.length - a.prefix.length)
  const find = (target: string, end: number): PrefixedHandler | undefined =>
    ordered.find(
      ({ prefix: { length }, prefix }) =>
        target.startsWith(prefix) && (end === length || target[length] === '/' || length === 0),
    )
  const answer = async (request: BridgeRequest): Promise<Reply> => {
    const { target } = request
    const mark = target.indexOf('?')
    const end = mark < 0 ? target.length : mark
    const found = find(target, end)
    if (found === undefined) return absent()
    const { prefix, handler } = found
    if (prefix === '') return handler.answer(request)
    if (end === prefix.length) return intoFolder(prefix, target.slice(end))
    return handler.answer(new RequestBelow(request, prefix))
  }
  const quick = (request: RequestHead): Reply | undefined => {
    const { target, method } = request
    const { prefix = '', handler } = find(target, target.length) ?? {}
    const below = target.slice(prefix.length)
    return handler?.quick?.({ method, target: below, prefix, header: (name) => request.header(name) })
  }
  return Object.assign((request: Request) => answerFetch(answer, request), { answer, quick })
}

/** Links in pages are relative: they lead elsewhere without the slash. This one is relative for proxies' sake. */
function intoFolder(prefix: string, search: string): Reply {
  const location = `${prefix.slice(prefix.lastIndexOf('/') + 1)}/${search}`
  return textReply(`see ${prefix}/\n`, { status: 307, headers: { location } })
}

/** A request as whoever answers below a prefix sees it. */
class RequestBelow implements BridgeRequest {
  readonly method: string
  readonly target: string
  readonly prefix: string
  readonly #request: BridgeRequest

  constructor(request: BridgeRequest, prefix: string) {
    this.method = request.method
    this.target = request.target.slice(prefix.length)
    this.prefix = prefix
    this.#request = request
  }

  get isEncrypted(): boolean | undefined {
    return this.#request.isEncrypted
  }

  header(name: string): string | undefined {
    return this.#request.header(name)
  }

  // Only who asks for them begins to read, and to watch the client.
  get body(): AsyncIterable<Uint8Array> {
    return this.#request.body
  }

  get signal(): AbortSignal {
    return this.#request.signal
  }
}
