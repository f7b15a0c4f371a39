import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type GrpcChannel, type GrpcChannelOptions, openGrpcChannel } from '@neve/castore-services/grpc'
import { type CastoreServerInit, castoreServer } from '@neve/castore-services/grpc/server'

/** A server and a channel to it. */
export interface GrpcPair extends AsyncDisposable {
  readonly channel: GrpcChannel
  close(): Promise<void>
}

/** How the two reach each other. */
export type Transport = 'unix' | 'tcp'

/** Starts a server of ours on a free address, and connects to it. */
export async function grpcPair(
  transport: Transport,
  init: CastoreServerInit,
  options?: GrpcChannelOptions,
): Promise<GrpcPair> {
  const folder = transport === 'unix' ? await mkdtemp(join(tmpdir(), 'neve-grpc-')) : undefined
  const server = castoreServer(init)
  const listener = await server.listen(folder === undefined ? '127.0.0.1:0' : join(folder, 'socket'))
  const channel = await openGrpcChannel(listener.url, { waitConnect: true, ...options })
  const close = async () => {
    await channel.close()
    await server.close()
    if (folder !== undefined) await rm(folder, { recursive: true })
  }
  return { channel, close, [Symbol.asyncDispose]: close }
}

/** How many sockets and servers this process has. */
export function openHandles(): number {
  return process.getActiveResourcesInfo().filter((name) => /Pipe|TCP|TLS/.test(name)).length
}
