import { setTimeout as sleep } from 'node:timers/promises'
import { CastoreError } from '@neve/castore-services'
import { tracedFetch } from '@neve/castore-services/telemetry'
import { StallGuard } from './stall-guard.js'
import { UpstreamError } from './upstream-error.js'

/** How {@link HttpCache} asks. */
export interface HttpCacheInit {
  /** Of the cache; its path ends in a slash. */
  readonly url: URL
  /** Milliseconds in which an answer has to begin, and to go on. */
  readonly timeout: number
  /** How often to ask again when nobody answers, or the server is not well. */
  readonly retries: number
  /** How long to wait before the first of them, in milliseconds; three times as long before each further one. */
  readonly firstPause: number
}

/** An answer with its body. Dispose of it, read or not. */
export interface HttpAnswer extends AsyncDisposable {
  readonly url: string
  /** Whether the server encoded the body for the way, which has been undone. */
  readonly encoded: boolean
  /** Good for one reading. */
  readonly body: AsyncIterable<Uint8Array>
}

const USER_AGENT = 'neve'

/** Asks a server for what lies below one URL. */
export class HttpCache {
  readonly #init: HttpCacheInit
  readonly #base: URL
  readonly #headers: Record<string, string>

  constructor(init: HttpCacheInit) {
    this.#init = init
    this.#base = new URL(init.url)
    const { username, password } = this.#base
    this.#headers = { 'user-agent': USER_AGENT }
    if (username !== '' || password !== '') {
      const secret = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`
      this.#headers['authorization'] = `Basic ${Buffer.from(secret).toString('base64')}`
      this.#base.username = ''
      this.#base.password = ''
    }
  }

  /** Of the server: no path, nothing secret. */
  get origin(): URL {
    return new URL('/', this.#base)
  }

  /** Whether something is there. */
  async has(path: string, signal: AbortSignal | undefined): Promise<boolean> {
    return this.retrying(signal, async () => {
      await using answer = await this.#ask('HEAD', path, signal)
      return answer !== undefined
    })
  }

  /** All of something small; undefined when it is not there. */
  async small(
    path: string,
    maxLength: number,
    signal: AbortSignal | undefined,
  ): Promise<Uint8Array | undefined> {
    return this.retrying(signal, async () => {
      await using answer = await this.#ask('GET', path, signal)
      if (answer === undefined) return undefined
      const pieces: Uint8Array[] = []
      let length = 0
      for await (const piece of answer.body) {
        length += piece.length
        if (length > maxLength) {
          throw new UpstreamError(answer.url, 'narinfo', `expected at most ${maxLength} bytes`)
        }
        pieces.push(piece)
      }
      return new Uint8Array(Buffer.concat(pieces))
    })
  }

  /** Something large, as it comes; undefined when it is not there. Not asked again: see {@link retrying}. */
  open(path: string, signal: AbortSignal | undefined): Promise<HttpAnswer | undefined> {
    return this.#ask('GET', path, signal, { 'accept-encoding': 'identity' })
  }

  /** Does something again when it failed for a reason that may pass, after pauses that grow. */
  async retrying<T>(signal: AbortSignal | undefined, attempt: () => Promise<T>): Promise<T> {
    const { retries, firstPause } = this.#init
    for (let tried = 0; ; tried++) {
      signal?.throwIfAborted()
      try {
        return await attempt()
      } catch (error) {
        signal?.throwIfAborted()
        const passing = error instanceof CastoreError && error.code === 'unavailable'
        if (!passing || tried >= retries) throw error
      }
      // Clients that lost the same server must not all come back at the same moment.
      const pause = firstPause * 3 ** tried * (0.5 + Math.random())
      await sleep(pause, undefined, { signal }).catch(() => signal?.throwIfAborted())
    }
  }

  async #ask(
    method: 'GET' | 'HEAD',
    path: string,
    signal: AbortSignal | undefined,
    headers: Record<string, string> = {},
  ): Promise<HttpAnswer | undefined> {
    const target = this.#below(path)
    const url = target.href
    const guard = new StallGuard(url, this.#init.timeout, signal)
    try {
      const own = target.origin === this.#base.origin ? this.#headers : { 'user-agent': USER_AGENT }
      const response = await guard.wait(
        tracedFetch(target, { method, signal: guard.signal, headers: { ...own, ...headers } }),
      )
      if (!response.ok) {
        await response.body?.cancel()
        guard[Symbol.dispose]()
        if (response.status === 404 || response.status === 403 || response.status === 410) return undefined
        throw statusError(url, response)
      }
      const encoded = /[^\s]/.test(response.headers.get('content-encoding')?.replace('identity', '') ?? '')
      const reader = response.body?.getReader()
      const close = async () => {
        guard[Symbol.dispose]()
        await reader?.cancel().catch(() => {})
      }
      return { url, encoded, body: bodyOf(url, reader, guard), [Symbol.asyncDispose]: close }
    } catch (error) {
      guard[Symbol.dispose]()
      throw failure(url, error, signal)
    }
  }

  #below(path: string): URL {
    const target = URL.canParse(path, this.#base.href) ? new URL(path, this.#base) : undefined
    if (target !== undefined && /^https?:$/.test(target.protocol)) return target
    throw new UpstreamError(
      this.#base.href,
      'narinfo',
      `cannot make a URL of ${JSON.stringify(path.slice(0, 200))}`,
    )
  }
}

async function* bodyOf(
  url: string,
  reader: ReadableStreamDefaultReader<Uint8Array> | undefined,
  guard: StallGuard,
): AsyncGenerator<Uint8Array, void, undefined> {
  if (reader === undefined) return
  try {
    for (;;) {
      const { done, value } = await guard.wait(reader.read())
      if (done) return
      guard.received(value.length)
      yield value
    }
  } catch (error) {
    throw failure(url, error, guard.signal)
  }
}

function statusError(url: string, { status, statusText }: Response): Error {
  const text = `got status ${status} ${statusText}`.trimEnd()
  return status >= 500 || status === 429 || status === 408
    ? new CastoreError('unavailable', `${url}: ${text}`)
    : new UpstreamError(url, 'status', text)
}

/** What went wrong: the caller's own reason, an error of ours, or that nobody could be reached. */
function failure(url: string, error: unknown, signal: AbortSignal | undefined): unknown {
  if (signal?.aborted) return signal.reason
  if (error instanceof CastoreError || error instanceof UpstreamError) return error
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
  const text = cause instanceof Error ? cause.message : String(cause)
  if (/redirect/i.test(text)) return new UpstreamError(url, 'redirect', text, error)
  return new CastoreError('unavailable', `${url}: ${text}`, { cause: error })
}
