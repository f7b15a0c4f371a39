import { closeSync } from 'node:fs'
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
export interface EmbeddedMountOptions extends MountOptions, FilesystemSettings, ThreadListeners {
  /** The thread to serve it. Default: a new one. */
  readonly thread?: ServingThread | undefined
  /** How much memory expanded chunks of large files may take, in bytes. Default: 64 MiB; never less than 24 MiB. */
  readonly chunkCacheBytes?: number | undefined
}

/**
 * Mounts an embedded store, served by a thread that reads it without ever waiting for a promise: the quickest way there
 * is. The calling process must keep the store open for as long.
 *
 * @param storePath the folder of the store
 * @param mountpoint a directory
 * @throws MountError; what the thread fails with before it can serve
 */
export async function mountEmbedded(
  storePath: string,
  roots: EmbeddedRoots,
  mountpoint: string,
  options: EmbeddedMountOptions = {},
): Promise<FuseMount> {
  const { thread = new ServingThread(), listRoot, showXattr, xattrPrefixes, owner } = options
  const { chunkCacheBytes } = options
  const filesystem = { listRoot, showXattr, xattrPrefixes, owner }
  const [ready, mounted] = await Promise.allSettled([
    thread.prepare({ storePath, roots, filesystem, chunkCacheBytes }, options),
    mountDevice(mountpoint, options),
  ])
  if (ready.status === 'fulfilled' && mounted.status === 'fulfilled') {
    return new FuseMount(mounted.value, thread.serve(mounted.value.descriptor))
  }
  if (mounted.status === 'fulfilled') {
    // Closing the device ends the connection, so that nobody waits in the mount for ever.
    closeSync(mounted.value.descriptor)
    await unmountDevice(mounted.value.mountpoint, { lazy: true })
  }
  await thread.close()
  throw ready.status === 'rejected' ? ready.reason : (mounted as PromiseRejectedResult).reason
}
