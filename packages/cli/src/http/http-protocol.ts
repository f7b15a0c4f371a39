import type { Socket } from 'node:net'
import { type Access, BridgeServer } from '@neve/nar-bridge/server'
import type { ProtocolParts } from '../daemon/grpc-protocol.js'
import type { ProtocolServer } from '../daemon/store-server.js'
import { openBinaryCache } from './binary-cache.js'
import { HttpMetrics } from './http-metrics.js'
import { withOperations } from './operations.js'

/** Serves a store as a binary cache over HTTP. */
export async function httpServer(parts: ProtocolParts): Promise<ProtocolServer> {
  const { tls, backends, tokens } = parts
  const cache = await openBinaryCache(parts)
  const metrics = new HttpMetrics()
  const handler = withOperations(cache.bridge, { backends, metrics, tokens })
  const onAccess = (access: Access) => {
    metrics.count(access)
    cache.onAccess?.(access)
  }
  const server = new BridgeServer(handler, { onAccess, tls })
  return {
    // Whatever is listened on gives sockets.
    accept: (connection, { tls: secure }) => server.connect(connection as Socket, { tls: secure }),
    async close(grace) {
      await server.close({ grace })
      await cache[Symbol.asyncDispose]()
    },
  }
}
