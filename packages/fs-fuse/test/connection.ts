import { type CastoreFilesystem, FuseSession } from '@neve/fs-fuse'
import { expect } from 'vitest'
import { frame, INIT_OF_LINUX, named } from './frames.js'
import { MemoryTransport } from './memory-transport.js'

/** A kernel in memory that has begun a connection. */
export interface Connection {
  readonly transport: MemoryTransport
  readonly init: Buffer
  readonly faults: unknown[]
  /** Sends a request and waits for its one reply. */
  call(message: Uint8Array): Promise<Buffer>
  /** The node of a path of names below a node. */
  walk(...names: readonly string[]): Promise<number>
}

/** Connects to a filesystem. */
export function connect(filesystem: CastoreFilesystem): Connection {
  const transport = new MemoryTransport()
  const faults: unknown[] = []
  const session = new FuseSession(filesystem, transport, { onFault: (error) => faults.push(error) })
  void session.run()
  const [init] = transport.request(INIT_OF_LINUX)
  const call = async (message: Uint8Array): Promise<Buffer> => {
    transport.request(message)
    await expect.poll(() => transport.replies.length, { interval: 1 }).toBe(1)
    return transport.replies[0]!
  }
  const walk = async (...names: readonly string[]): Promise<number> => {
    let node = 1
    for (const name of names) {
      node = Number((await call(frame(1, { node }, named(name)))).readBigUInt64LE(16))
    }
    return node
  }
  return { transport, init: init!, faults, call, walk }
}
