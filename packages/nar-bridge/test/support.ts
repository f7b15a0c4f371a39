import { mkdtempSync, rmSync } from 'node:fs'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MemoryBlobService } from '@neve/castore-services/blob/memory'
import { MemoryDirectoryService } from '@neve/castore-services/directory/memory'
import { type BridgeStore, type NarBridge, type NarBridgeOptions, narBridge } from '@neve/nar-bridge'
import { type RunningServer, type ServeOptions, serve } from '@neve/nar-bridge/server'
import { type LocalStore, MemoryPathInfoService, openLocalStore, Store } from '@neve/store-pathinfo'
import { afterAll } from 'vitest'

const folders: string[] = []
const closers: (() => Promise<void>)[] = []
afterAll(async () => {
  for (const close of closers.splice(0).reverse()) await close()
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

/** A new folder that is removed after the tests of the file. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'neve-bridge-'))
  folders.push(folder)
  return folder
}

/** A new embedded store that is closed after the tests of the file. */
export async function temporaryStore(): Promise<LocalStore> {
  const store = await openLocalStore(join(temporaryFolder(), 'store'))
  closers.push(() => store.close())
  return store
}

export function memoryStore(): Store {
  return new Store({
    blobs: new MemoryBlobService(),
    directories: new MemoryDirectoryService(),
    pathInfos: new MemoryPathInfoService(),
  })
}

/** Serves a store until the tests of the file are over. */
export async function served(
  store: BridgeStore,
  options: NarBridgeOptions = {},
  more: Partial<ServeOptions> = {},
): Promise<RunningServer & { readonly bridge: NarBridge; readonly errors: unknown[] }> {
  const errors: unknown[] = []
  const bridge = narBridge(store, { onError: (_, error) => errors.push(error), ...options })
  const server = await serve(bridge, { listen: '127.0.0.1:0', ...more })
  closers.push(() => server.close({ grace: 0 }))
  return Object.assign(server, { bridge, errors })
}

/** Asks a bridge as a fetch handler. */
export function ask(bridge: NarBridge, path: string, init?: RequestInit): Promise<Response> {
  return bridge(new Request(`http://cache.example${path}`, init))
}

export async function collect(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const piece of source) pieces.push(Buffer.from(piece))
  return Buffer.concat(pieces)
}

/** Settles when a connection is gone, however it ended. */
export function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.closed) resolve()
    else socket.once('close', () => resolve())
  })
}
