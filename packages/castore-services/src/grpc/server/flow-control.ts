import type { ServerHttp2Session } from 'node:http2'

/** The part of grpc-js' calls that leads to their connection. */
interface CallWithStream {
  readonly stream?: { readonly session?: ServerHttp2Session | undefined } | undefined
}

/**
 * An interceptor for grpc-js servers that lets clients send more ahead than the 64 KiB of a fresh HTTP/2 connection,
 * which cost uploads half of their speed on a socket and nearly all of it on a long line. The library has the option for
 * clients only; the first call of a connection is the earliest moment to get hold of it.
 *
 * @param window bytes
 */
export function flowControl(window: number): (method: unknown, call: unknown) => unknown {
  const seen = new WeakSet<ServerHttp2Session>()
  return (_method, call) => {
    const session = (call as CallWithStream).stream?.session
    if (session !== undefined && !seen.has(session)) {
      seen.add(session)
      session.settings({ initialWindowSize: window })
      session.setLocalWindowSize(window)
    }
    return call
  }
}
