import { closeSync } from 'node:fs'
import type { EmbeddedStore } from '@neve/embedded-store'
import { type MountOptions, mountDevice, unmountDevice } from './device/mount-device.js'
import { FuseMount } from './fuse-mount.js'
import {
  type EmbeddedRoots,
  ServingThread,
  type ThreadListeners,
  type ThreadSettings,
} from './serving-thread.js'

type FilesystemSettings = ThreadSettings['filesystem']

/** Options of {@link mountEmbedded}. */
export interface EmbeddedMountOptions
  extends MountOptions,
    FilesystemSettings,
    Omit<ThreadListeners, 'onUse'> {
  /** The thread to serve it. Default: a new one. */
  readonly thread?: ServingThread | undefined
  /** How much memory expanded chunks of large files may take, in bytes. Default: 64 MiB; never less than 24 MiB. */
  readonly chunkCacheBytes?: number | undefined
  /**
   * Whether garbage that is found while it is mounted stays until it is not, so that whoever reads it finds all of it.
   * Where the store may not be written to, there can be no lease. Default: true.
   */
  readonly lease?: boolean | undefined
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
  const { chunkCacheBytes, lease = true } = options
  const filesystem = { listRoot, showXattr, xattrPrefixes, owner }
  const opening = openStore(storePath, lease)
  const preparing = opening.then(({ uses }) =>
    thread.prepare(
      { storePath, roots, filesystem, chunkCacheBytes },
      { ...options, onUse: (key) => uses.mark(key) },
    ),
  )
  const [opened, ready, mounted] = await Promise.allSettled([
    opening,
    preparing,
    mountDevice(mountpoint, options),
  ])
  if (opened.status === 'fulfilled' && ready.status === 'fulfilled' && mounted.status === 'fulfilled') {
    const served = thread.serve(mounted.value.descriptor).finally(() => opened.value.close())
    return new FuseMount(mounted.value, served)
  }
  if (mounted.status === 'fulfilled') {
    // Closing the device ends the connection, so that nobody waits in the mount for ever.
    closeSync(mounted.value.descriptor)
    await unmountDevice(mounted.value.mountpoint, { lazy: true })
  }
  await thread.close()
  if (opened.status === 'fulfilled') await opened.value.close()
  throw ready.status === 'rejected' ? ready.reason : (mounted as PromiseRejectedResult).reason
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
