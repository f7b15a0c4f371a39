import { on } from 'node:events'
import { type MessagePort, parentPort } from 'node:worker_threads'
import { B3Digest } from '@neve/castore-model'
import { EmbeddedStore } from '@neve/embedded-store'
import { ChunkPool } from './chunk-threads/chunk-pool.js'
import { DeviceTransport } from './device/device-transport.js'
import { EmbeddedContent } from './embedded-content.js'
import { CastoreFilesystem } from './filesystem/castore-filesystem.js'
import { OpenRoots } from './open-roots.js'
import { MapRootNodes, type RootNodes } from './root-nodes.js'
import type { EmbeddedRoots, ThreadMessage, ThreadRequest, ThreadSettings } from './serving-thread.js'
import { FuseSession } from './session.js'

const CHUNK_CACHE = 64 * 1024 * 1024

/** Makes what stands in the root of a mount of a store, answered without promises. It tells `open` of what is opened. */
export type RootNodesOf = (engine: EmbeddedStore, open: OpenRoots) => RootNodes

/**
 * Serves one mount of an embedded store: for a module that a {@link ServingThread} runs. It waits for requests only, so
 * it may stand still for them.
 *
 * @param rootNodes what stands in the root of a mount that shows no directory
 */
export function serveEmbedded(rootNodes?: RootNodesOf): void {
  if (parentPort !== null) void serve(parentPort, rootNodes)
}

async function serve(port: MessagePort, rootNodes: RootNodesOf | undefined): Promise<void> {
  const tell = (message: ThreadMessage) => port.postMessage(message)
  const requests = on(port, 'message')
  const settings = await next<ThreadSettings>(requests)
  if (settings !== undefined) {
    await using engine = await EmbeddedStore.open(settings.storePath, {
      readOnly: true,
      create: false,
      beside: true,
      onUse: (key) => tell({ kind: 'used', key }),
    })
    const open = new OpenRoots(settings.counts, (slot, key) => tell({ kind: 'root', slot, key }))
    let pool: ChunkPool | undefined
    const content = new EmbeddedContent(engine, () => pool)
    const filesystem = new CastoreFilesystem({
      ...settings.filesystem,
      content,
      roots: rootsOf(settings.roots, engine, content, rootNodes && ((store) => rootNodes(store, open))),
      onTrouble: ({ operation, path, error }) =>
        tell({ kind: 'trouble', operation, path, error: textOf(error) }),
    })
    tell({ kind: 'ready' })
    const device = await next<number>(requests)
    if (device !== undefined) {
      const transport = new DeviceTransport(device, { blocking: true })
      const session = new FuseSession(filesystem, transport, {
        onFault: (error) => tell({ kind: 'fault', error: textOf(error) }),
        // Threads take a while to start: they do so once the mount answers, and before somebody reads a large file.
        onInit: () => {
          pool ??= new ChunkPool(engine, device, settings.chunkCacheBytes ?? CHUNK_CACHE)
        },
      })
      await session.run()
      await pool?.close()
    }
  }
  port.close()
}

/** @returns undefined when the thread is to end */
async function next<T extends ThreadRequest>(requests: AsyncIterator<unknown[]>): Promise<T | undefined> {
  const { value } = await requests.next()
  return value[0]
}

function rootsOf(
  { directory: address }: EmbeddedRoots,
  engine: EmbeddedStore,
  content: EmbeddedContent,
  rootNodes: ((engine: EmbeddedStore) => RootNodes) | undefined,
): RootNodes {
  if (address === undefined) {
    if (rootNodes === undefined) throw new Error('this thread shows directories only')
    return rootNodes(engine)
  }
  const digest = B3Digest.parse(address)
  const directory = content.directory(digest)
  if (directory === undefined) throw new Error(`directory ${digest} is missing`)
  return MapRootNodes.of(directory)
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
