import { formatCacheInfo, parseNarFileName, parseStorePathFileName } from '@neve/nix-compat'
import type { BridgeStore, NarBridgeOptions } from './bridge-options.js'
import { type BridgeRequest, discard, type Reply, type ReplyStream, textReply } from './exchange.js'
import { answerFetch } from './fetch-handler.js'
import { HttpError } from './http-error.js'
import { KnownNars } from './known-nars.js'
import { NarRoutes } from './nar-routes.js'
import { parseNarUrl } from './nar-url.js'
import { absent, NarInfoRoutes } from './narinfo-routes.js'
import { refusal } from './refusal.js'

/** A binary cache, for any server. */
export interface NarBridge {
  /** As a web-standard fetch handler. Bodies fail when they cannot be sent whole. */
  (request: Request): Promise<Response>
  /** The same for servers that need no Request and no Response. Never rejects. */
  answer(request: BridgeRequest): Promise<Reply>
}

/** Longer request targets than any that means something. */
const MAX_TARGET = 16 * 1024
const DEFAULT_PRIORITY = 39

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

/** Finds out what a request is about. */
class Routes {
  readonly #known = new KnownNars()
  readonly #narInfos: NarInfoRoutes
  readonly #nars: NarRoutes
  readonly #cacheInfo: string

  constructor(store: BridgeStore, options: NarBridgeOptions) {
    const { compression = 'auto', priority = DEFAULT_PRIORITY, signKeys = [] } = options
    const zstd = compression === 'zstd' || (compression === 'auto' && store.engine !== undefined)
    this.#narInfos = new NarInfoRoutes(store, this.#known, signKeys, zstd)
    this.#nars = new NarRoutes(store, this.#known)
    this.#cacheInfo = formatCacheInfo({ wantMassQuery: true, priority })
  }

  async answer(request: BridgeRequest): Promise<Reply> {
    const { target } = request
    if (target.length > MAX_TARGET) throw new HttpError(414, `expected a URL of at most ${MAX_TARGET} bytes`)
    if (target.startsWith('/nar/')) return this.#nar(target.slice(1), request)
    const mark = target.indexOf('?')
    const name = target.slice(1, mark < 0 ? undefined : mark)
    const file = parseStorePathFileName(name)
    if (file?.kind === 'narinfo') {
      readOnly(request)
      return this.#narInfos.narInfo(file.digest, request)
    }
    if (file?.kind === 'ls') {
      readOnly(request)
      return this.#narInfos.listing(file.digest, request)
    }
    if (name === 'nix-cache-info') {
      readOnly(request)
      return textReply(this.#cacheInfo, { type: 'text/x-nix-cache-info' })
    }
    if (name === '') {
      readOnly(request)
      return textReply('a Nix binary cache, served by Neve\n')
    }
    return absent()
  }

  async #nar(url: string, request: BridgeRequest): Promise<Reply> {
    if (/^nar\/(?:snix|tvix)-castore\//.test(url)) {
      readOnly(request)
      const nar = parseNarUrl(url)
      if (nar === undefined) return absent()
      if (nar === 'no-size') throw new HttpError(400, 'expected ?narsize= with the size of the NAR')
      return nar.form === 'zstd' ? this.#nars.zstd(nar, request) : this.#nars.plain(nar, request)
    }
    const name = parseNarFileName(url.slice('nar/'.length))
    readOnly(request)
    const known = name?.suffix === '' ? this.#known.byHash(name.digest) : undefined
    return known === undefined ? absent() : this.#nars.plain(known, request)
  }
}

function readOnly({ method }: BridgeRequest): void {
  if (method === 'GET' || method === 'HEAD') return
  throw new HttpError(405, `${method} is not for this`, { allow: 'GET, HEAD' })
}
