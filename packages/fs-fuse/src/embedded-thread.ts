import { type MessagePort, parentPort } from 'node:worker_threads'
import { B3Digest } from '@neve/castore-model'
import { EmbeddedStore } from '@neve/embedded-store'
import { ChunkPool } from './chunk-threads/chunk-pool.js'
import { DeviceTransport } from './device/device-transport.js'
import { EmbeddedContent } from './embedded-content.js'
import { CastoreFilesystem } from './filesystem/castore-filesystem.js'
import { MapRootNodes, type RootNodes } from './root-nodes.js'
import type { EmbeddedRoots, ThreadMessage, ThreadRequest, ThreadSettings } from './serving-thread.js'
import { FuseSession } from './session.js'

const CHUNK_CACHE = 64 * 1024 * 1024

/** The thread that serves a mount of an embedded store: it waits for requests only, so it may stand still for them. */
const port = parentPort
if (port !== null) {
  const tell = (message: ThreadMessage) => port.postMessage(message)
  const settings = await told<ThreadSettings>(port)
  await using engine = await EmbeddedStore.open(settings.storePath, {
    readOnly: true,
    create: false,
    beside: true,
    onUse: (key) => tell({ kind: 'used', key }),
  })
  let pool: ChunkPool | undefined
  const content = new EmbeddedContent(engine, () => {
    pool ??= new ChunkPool(settings.storePath, device, settings.chunkCacheBytes ?? CHUNK_CACHE)
    return pool
  })
  const filesystem = new CastoreFilesystem({
    ...settings.filesystem,
    content,
    roots: await rootsOf(settings.roots, engine, content),
    onTrouble: ({ operation, path, error }) =>
      tell({ kind: 'trouble', operation, path, error: textOf(error) }),
  })
  const mounted = told<number>(port)
  tell({ kind: 'ready' })
  const device = await mounted
  const transport = new DeviceTransport(device, { blocking: true })
  const session = new FuseSession(filesystem, transport, {
    onFault: (error) => tell({ kind: 'fault', error: textOf(error) }),
  })
  await session.run()
  await pool?.close()
  port.close()
}

function told<T extends ThreadRequest>(from: MessagePort): Promise<T> {
  return new Promise((resolve) => from.once('message', resolve))
}

async function rootsOf(
  roots: EmbeddedRoots,
  engine: EmbeddedStore,
  content: EmbeddedContent,
): Promise<RootNodes> {
  if (roots.directory === undefined) {
    const module = (await import(roots.module)) as { rootNodes(engine: EmbeddedStore): RootNodes }
    return module.rootNodes(engine)
  }
  const digest = B3Digest.parse(roots.directory)
  const directory = content.directory(digest)
  if (directory === undefined) throw new Error(`directory ${digest} is missing`)
  return MapRootNodes.of(directory)
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
