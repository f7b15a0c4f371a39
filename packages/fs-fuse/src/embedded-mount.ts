import { once } from 'node:events'
import { closeSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import { type MountOptions, mountDevice, unmountDevice } from './device/mount-device.js'
import type { CastoreFilesystemInit, FilesystemTrouble } from './filesystem/castore-filesystem.js'
import { FuseMount } from './fuse-mount.js'

/** What stands in the root of a mount of an embedded store. */
export type EmbeddedRoots =
  | {
      /** The URL of a module that exports `rootNodes(engine: EmbeddedStore): RootNodes`, which answers without promises. */
      readonly module: string
      readonly directory?: undefined
    }
  | {
      /** The digest of a directory, as text: its entries are the root. */
      readonly directory: string
    }

/** Options of {@link mountEmbedded}. */
export interface EmbeddedMountOptions
  extends MountOptions,
    Omit<CastoreFilesystemInit, 'roots' | 'content' | 'onTrouble'> {
  readonly onTrouble?: ((trouble: FilesystemTrouble) => void) | undefined
  /** Hears of what must not happen. */
  readonly onFault?: ((error: unknown) => void) | undefined
}

/** What the thread is made with. */
export interface ThreadSettings {
  readonly storePath: string
  readonly roots: EmbeddedRoots
  readonly filesystem: Omit<CastoreFilesystemInit, 'roots' | 'content' | 'onTrouble'>
}

/** What the thread tells. */
export type ThreadMessage =
  | { readonly kind: 'ready' }
  | { readonly kind: 'trouble'; readonly operation: string; readonly path: string; readonly error: string }
  | { readonly kind: 'fault'; readonly error: string }

const THREAD = import.meta.resolve('@neve/fs-fuse/embedded-thread')

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
  const { source, allowOther, forceUnmountStale, onTrouble, onFault, ...filesystem } = options
  const settings: ThreadSettings = { storePath, roots, filesystem }
  const thread = new Worker(new URL(THREAD), { workerData: settings })
  thread.on('message', (message: ThreadMessage) => {
    if (message.kind === 'trouble') onTrouble?.({ ...message, error: new Error(message.error) })
    if (message.kind === 'fault') onFault?.(new Error(message.error))
  })
  const ended = once(thread, 'exit').then(() => {})
  ended.catch(() => {})
  const [ready, mounted] = await Promise.allSettled([
    once(thread, 'message'),
    mountDevice(mountpoint, { source, allowOther, forceUnmountStale }),
  ])
  if (ready.status === 'fulfilled' && mounted.status === 'fulfilled') {
    thread.postMessage(mounted.value.descriptor)
    return new FuseMount(mounted.value, ended)
  }
  if (mounted.status === 'fulfilled') {
    // Closing the device ends the connection, so that nobody waits in the mount for ever.
    closeSync(mounted.value.descriptor)
    await unmountDevice(mounted.value.mountpoint, { lazy: true })
  }
  await thread.terminate()
  throw ready.status === 'rejected' ? ready.reason : (mounted as PromiseRejectedResult).reason
}
