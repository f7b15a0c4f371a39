import type { BlobListStore, ChunkStore } from '@neve/castore-services'
import { type GrpcChannel, type GrpcChannelOptions, openGrpcChannel } from '@neve/castore-services/grpc'
import {
  addSplitServices,
  castoreServer,
  type SplitServices,
  type SplitServicesOptions,
} from '@neve/castore-services/grpc/server'
import { MemoryBlobListStore, MemoryChunkStore } from '@neve/castore-services/split'

/** Both halves in memory. */
export function memoryHalves(): { chunks: ChunkStore; lists: BlobListStore } {
  return { chunks: new MemoryChunkStore(), lists: new MemoryBlobListStore() }
}

/** A server of the split services, and of nothing else, on a port of its own. */
export interface SplitServer extends AsyncDisposable {
  readonly port: number
  /** A channel that is closed with the server. */
  channel(options?: GrpcChannelOptions): Promise<GrpcChannel>
  close(): Promise<void>
}

export async function splitServer(services: SplitServices & SplitServicesOptions): Promise<SplitServer> {
  const server = castoreServer({
    limits: { maxMessageSize: 4 * 1024 * 1024 },
    extend: (to) => addSplitServices(to, services, services),
  })
  const { address } = await server.listen('127.0.0.1:0')
  const port = Number(address.split(':').at(-1))
  const channels: GrpcChannel[] = []
  const close = async () => {
    for (const channel of channels.splice(0)) await channel.close()
    await server.close({ grace: 0 })
  }
  return {
    port,
    channel: async (options) => {
      const channel = await openGrpcChannel(`grpc+http://127.0.0.1:${port}`, options)
      channels.push(channel)
      return channel
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}
