import type { ServerHttp2Session } from 'node:http2'

/** The part of grpc-js' calls that leads to their connection. */
interface CallWithStream {
  readonly stream?: { readonly session?: ServerHttp2Session | undefined } | undefined
}

/**
 * The connections to a grpc-js server over which calls were made. The library does not give them away; the first call
 * of each is the earliest moment to get hold of it.
 */
export class ServerSessions {
  readonly #window: number
  readonly #open = new Set<ServerHttp2Session>()

  /**
   * @param window how much clients may send ahead, in bytes: with the 64 KiB of a fresh HTTP/2 connection uploads are
   *   half as fast on a socket, and crawl on a long line. The library has the option for clients only.
   */
  constructor(window: number) {
    this.#window = window
  }

  /** For the server's option `interceptors`. */
  readonly intercept = (_method: unknown, call: unknown): unknown => {
    const session = (call as CallWithStream).stream?.session
    if (session !== undefined && !this.#open.has(session)) {
      this.#open.add(session)
      session.once('close', () => this.#open.delete(session))
      session.settings({ initialWindowSize: this.#window })
      session.setLocalWindowSize(this.#window)
    }
    return call
  }

  /** Breaks them, and the calls that run. The library forgets to when it does not count calls for its statistics. */
  destroy(): void {
    for (const session of this.#open) session.destroy()
  }
}
