import { closeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { DeviceTransport } from './device/device-transport.js'
import { type MountedDevice, type MountOptions, mountDevice, unmountDevice } from './device/mount-device.js'
import type { CastoreFilesystem } from './filesystem/castore-filesystem.js'
import { FuseSession } from './session.js'

/** How long an unmount may take before those who are inside are left behind, in milliseconds. */
const PATIENCE = 5000

/** A mount that is served. Dispose of it, or call {@link FuseMount.unmount}, to end it. */
export class FuseMount implements AsyncDisposable {
  /** The mount point, absolute and without symlinks. */
  readonly mountpoint: string
  readonly #served: Promise<void>
  #ended = false
  #unmounting: Promise<void> | undefined

  /** @param served settles when the connection has ended; then the device is closed */
  constructor(device: MountedDevice, served: Promise<void>) {
    this.mountpoint = device.mountpoint
    this.#served = served.finally(() => {
      this.#ended = true
      closeSync(device.descriptor)
    })
    // When serving fails, nobody has unmounted yet.
    this.#served.catch(() => unmountDevice(this.mountpoint, { lazy: true })).catch(() => {})
  }

  /** Waits until it is unmounted, by whomever. Rejects when the connection failed. */
  wait(): Promise<void> {
    return this.#served
  }

  /**
   * Unmounts, and waits until nothing is served any more. Who is inside may finish: for a moment, then without being
   * waited for. Calling it again, or when it is unmounted already, does nothing.
   *
   * @throws MountError
   */
  unmount(): Promise<void> {
    this.#unmounting ??= this.#unmount()
    return this.#unmounting
  }

  async #unmount(): Promise<void> {
    if (this.#ended) return
    try {
      await unmountDevice(this.mountpoint, { lazy: true })
    } catch (error) {
      // Somebody else was quicker.
      if (!(await endsWithin(this.#served, PATIENCE))) throw error
    }
    await endsWithin(this.#served, PATIENCE)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.unmount()
  }
}

/**
 * Mounts a filesystem and serves it from the calling thread, which must not touch the mount with synchronous calls.
 *
 * @param mountpoint a directory
 * @throws MountError
 */
export async function mountFilesystem(
  filesystem: CastoreFilesystem,
  mountpoint: string,
  options: MountOptions & { readonly onFault?: ((error: unknown) => void) | undefined } = {},
): Promise<FuseMount> {
  const device = await mountDevice(mountpoint, options)
  const session = new FuseSession(filesystem, new DeviceTransport(device.descriptor), options)
  return new FuseMount(device, session.run())
}

async function endsWithin(served: Promise<void>, milliseconds: number): Promise<boolean> {
  const stop = new AbortController()
  const ended = served.then(
    () => true,
    () => true,
  )
  const late = sleep(milliseconds, false, { signal: stop.signal }).catch(() => false)
  const result = await Promise.race([ended, late])
  stop.abort()
  return result
}
