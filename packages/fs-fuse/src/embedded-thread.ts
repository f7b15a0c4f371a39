import { parentPort, workerData } from 'node:worker_threads'
import { B3Digest } from '@neve/castore-model'
import { EmbeddedStore } from '@neve/embedded-store'
import { DeviceTransport } from './device/device-transport.js'
import { EmbeddedContent } from './embedded-content.js'
import type { EmbeddedRoots, ThreadMessage, ThreadSettings } from './embedded-mount.js'
import { CastoreFilesystem } from './filesystem/castore-filesystem.js'
import { MapRootNodes, type RootNodes } from './root-nodes.js'
import { FuseSession } from './session.js'

/** The thread that serves a mount of an embedded store: it waits for requests only, so it may stand still for them. */
const port = parentPort
if (port !== null) {
  const tell = (message: ThreadMessage) => port.postMessage(message)
  const settings = workerData as ThreadSettings
  await using engine = await EmbeddedStore.open(settings.storePath, {
    readOnly: true,
    create: false,
    beside: true,
  })
  const content = new EmbeddedContent(engine)
  const filesystem = new CastoreFilesystem({
    ...settings.filesystem,
    content,
    roots: await rootsOf(settings.roots, engine, content),
    onTrouble: ({ operation, path, error }) =>
      tell({ kind: 'trouble', operation, path, error: textOf(error) }),
  })
  const descriptor = new Promise<number>((resolve) => port.once('message', resolve))
  tell({ kind: 'ready' })
  const transport = new DeviceTransport(await descriptor, { blocking: true })
  const session = new FuseSession(filesystem, transport, {
    onFault: (error) => tell({ kind: 'fault', error: textOf(error) }),
  })
  await session.run()
  port.close()
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
