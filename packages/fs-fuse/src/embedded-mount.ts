import { closeSync } from 'node:fs'
import { B3Digest } from '@neve/castore-model'
import type { EmbeddedStore, StoredKey } from '@neve/embedded-store'
import { type MountOptions, mountDevice, unmountDevice } from './device/mount-device.js'
import { FuseMount } from './fuse-mount.js'
import { MountLease } from './mount-lease.js'
import { type OpenCounts, openCounts, openRootKeys } from './open-roots.js'
import {
  type EmbeddedRoots,
  ServingThread,
  type ThreadListeners,
  type ThreadSettings,
} from './serving-thread.js'

/** How long garbage is held back by default, in milliseconds. */
const GRACE = 10_000

type FilesystemSettings = ThreadSettings['filesystem']

/** Options of {@link mountEmbedded}. */
export interface EmbeddedMountOptions
  extends MountOptions,
    FilesystemSettings,
    Pick<ThreadListeners, 'onTrouble' | 'onFault'> {
  /** The thread to serve it. Default: a new one. */
  readonly thread?: ServingThread | undefined
  /** How much memory expanded chunks of large files may take, in bytes. Default: 64 MiB; never less than 24 MiB. */
  readonly chunkCacheBytes?: number | undefined
  /**
   * Whether garbage that is found while it is mounted is let go of with care: not before {@link gcGrace}, and only what is
   * not open then, nor was looked up meanwhile. Where the store may not be written to, there can be no lease. Default: true.
   */
  readonly lease?: boolean | undefined
  /** How long garbage is held back for those who read it, in milliseconds. Default: 10 seconds. */
  readonly gcGrace?: number | undefined
}

/**
 * Mounts an embedded store, served by a thread that reads it without ever waiting for a promise: the quickest way there
 * is. The store is open for as long.
 *
 * @param storePath the folder of the store
 * @param mountpoint a directory
 * @throws MountError; EmbeddedStoreError; what the thread fails with before it can serve
 */
export async function mountEmbedded(
  storePath: string,
  roots: EmbeddedRoots,
  mountpoint: string,
  options: EmbeddedMountOptions = {},
): Promise<FuseMount> {
  const { thread = new ServingThread(), listRoot, showXattr, xattrPrefixes, owner } = options
  const { chunkCacheBytes, lease = true, gcGrace = GRACE, onFault = () => {} } = options
  const filesystem = { listRoot, showXattr, xattrPrefixes, owner }
  const opening = openStore(storePath, lease)
  const counts = openCounts()
  const keys: Uint8Array[] = []
  let holding: MountLease | undefined
  const preparing = opening.then((engine) => {
    holding = new MountLease(engine, gcGrace, () => inUse(roots, counts, keys), onFault)
    return thread.prepare(
      { storePath, roots, filesystem, chunkCacheBytes, counts },
      {
        ...options,
        onUse: (key) => holding?.use(key),
        onRoot: (slot, key) => {
          keys[slot] = key
        },
      },
    )
  })
  const [opened, ready, mounted] = await Promise.allSettled([
    opening,
    preparing,
    mountDevice(mountpoint, options),
  ])
  if (opened.status === 'fulfilled' && ready.status === 'fulfilled' && mounted.status === 'fulfilled') {
    const served = thread.serve(mounted.value.descriptor).finally(async () => {
      await holding?.close()
      await opened.value.close()
    })
    return new FuseMount(mounted.value, served)
  }
  if (mounted.status === 'fulfilled') {
    // Closing the device ends the connection, so that nobody waits in the mount for ever.
    closeSync(mounted.value.descriptor)
    await unmountDevice(mounted.value.mountpoint, { lazy: true })
  }
  await thread.close()
  await holding?.close()
  if (opened.status === 'fulfilled') await opened.value.close()
  throw ready.status === 'rejected' ? ready.reason : (mounted as PromiseRejectedResult).reason
}

/** What must not go: what is open; of one directory that is mounted, all. Undefined where that is not known. */
function inUse(
  { directory }: EmbeddedRoots,
  counts: OpenCounts,
  keys: readonly Uint8Array[],
): readonly StoredKey[] | undefined {
  if (directory !== undefined) return [{ what: 'directories', key: B3Digest.parse(directory).bytes }]
  return openRootKeys(counts, keys)?.map((key) => ({ what: 'pathInfos', key }))
}

/** Who opens a store for writing has a lease for as long as it is open. */
async function openStore(storePath: string, lease: boolean): Promise<EmbeddedStore> {
  const { EmbeddedStore } = await import('@neve/embedded-store')
  const open = (readOnly: boolean) => EmbeddedStore.open(storePath, { readOnly, create: false })
  if (!lease) return open(true)
  return open(false).catch((error: unknown) => {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code !== 'no-permission') throw error
    return open(true)
  })
}
