import {
  type BoundSocket,
  type ListenAddress,
  listenOn,
  parseListenAddress,
} from '@neve/castore-services/listen'
import type { NarBridge } from '../nar-bridge.js'
import { BridgeServer, type BridgeServerOptions, type CloseOptions } from './bridge-server.js'

/** Options of {@link serve}. */
export interface ServeOptions extends BridgeServerOptions {
  /** An address of `@neve/castore-services/listen`: `127.0.0.1:9000`, `[::1]:0`, `/run/neve-http.sock`, `sd-listen`. */
  readonly listen: string
  /** Permissions of a socket file, such as 0o660. Default: by umask. */
  readonly socketMode?: number | undefined
}

/** A server that runs. */
export interface RunningServer extends AsyncDisposable {
  /** Where clients find it: `http://127.0.0.1:9000`, `/run/neve-http.sock`. */
  readonly url: string
  /** As {@link BridgeServer.close}, and no longer listens. */
  close(options?: CloseOptions): Promise<void>
}

/**
 * Serves a bridge over HTTP/1.1 and HTTP/2. Dispose of the server to end it.
 *
 * @throws CastoreError `invalid-input` for an address that is none, `unavailable` for one that is taken
 */
export async function serve(bridge: NarBridge, options: ServeOptions): Promise<RunningServer> {
  const { listen, socketMode, ...rest } = options
  const address = parseListenAddress(listen)
  if (address.kind === 'stdio') throw new TypeError('a binary cache is not served over standard input')
  const server = new BridgeServer(bridge, rest)
  const bound = await bind(server, address, { mode: socketMode, tls: options.tls !== undefined })
  const close: RunningServer['close'] = async (closing) => {
    await Promise.all(bound.map((socket) => socket.close()))
    await server.close(closing)
  }
  const [{ kind, address: text }] = bound as [BoundSocket, ...BoundSocket[]]
  const scheme = options.tls === undefined ? 'http' : 'https'
  return { url: kind === 'tcp' ? `${scheme}://${text}` : text, close, [Symbol.asyncDispose]: () => close() }
}

async function bind(
  server: BridgeServer,
  address: Exclude<ListenAddress, { readonly kind: 'stdio' }>,
  { mode, tls }: { readonly mode: number | undefined; readonly tls: boolean },
): Promise<readonly BoundSocket[]> {
  try {
    return await listenOn(address, (socket, { tcp }) => server.connect(socket, { tls: tcp && tls }), { mode })
  } catch (error) {
    await server.close()
    throw error
  }
}
