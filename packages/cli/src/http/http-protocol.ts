import type { Socket } from 'node:net'
import { BridgeServer } from '@neve/nar-bridge/server'
import type { ProtocolParts } from '../daemon/grpc-protocol.js'
import type { ProtocolServer } from '../daemon/store-server.js'
import { openBinaryCache } from './binary-cache.js'

/** Serves a store as a binary cache over HTTP. */
export async function httpServer(parts: ProtocolParts): Promise<ProtocolServer> {
  const { tls } = parts
  const cache = await openBinaryCache(parts)
  const server = new BridgeServer(cache.bridge, { onAccess: cache.onAccess, tls })
  return {
    // Whatever is listened on gives sockets.
    accept: (connection, { tls: secure }) => server.connect(connection as Socket, { tls: secure }),
    async close(grace) {
      await server.close({ grace })
      await cache[Symbol.asyncDispose]()
    },
  }
}
