import { closeSync, openSync } from 'node:fs'
import { realpath, stat, statfs } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { MountError } from './mount-error.js'
import { runProgram } from './run-program.js'

/** How a filesystem is mounted. */
export interface MountOptions {
  /** What `mount` and `df` show as the source. Default: `neve`. */
  readonly source?: string | undefined
  /** Whether others than the mounting user may enter. For users it needs `user_allow_other` in /etc/fuse.conf. Default: false. */
  readonly allowOther?: boolean | undefined
  /**
   * Whether to take away a mount that is still there though who served it is gone, after a crash. Default: false, so that
   * mounting fails.
   */
  readonly forceUnmountStale?: boolean | undefined
}

/** A mounted device. */
export interface MountedDevice {
  /** The descriptor of `/dev/fuse`: whoever serves it closes it. */
  readonly descriptor: number
  /** The mount point, absolute and without symlinks. */
  readonly mountpoint: string
}

const TYPE = 'neve'
const FLAGS = ['ro', 'nosuid', 'nodev', 'noatime', 'default_permissions']

/**
 * Mounts, but serves nothing yet: whoever enters the mount waits until somebody does (spec 05 section 11.1). Root mounts
 * with mount(8), everybody else with fusermount3.
 *
 * @param mountpoint a directory
 * @throws MountError
 */
export async function mountDevice(mountpoint: string, options: MountOptions = {}): Promise<MountedDevice> {
  const place = await placeOf(mountpoint, options)
  const descriptor = process.getuid?.() === 0 ? await asRoot(place, options) : await asUser(place, options)
  return { descriptor, mountpoint: place }
}

/**
 * Unmounts.
 *
 * @param options `lazy` takes it out of sight at once, and lets those who are inside finish
 * @throws MountError
 */
export async function unmountDevice(mountpoint: string, { lazy = false } = {}): Promise<void> {
  if (process.getuid?.() === 0) {
    await runProgram(mountpoint, 'umount', ['-i', ...(lazy ? ['-l'] : []), '--', mountpoint])
  } else {
    await runProgram(mountpoint, 'fusermount3', ['-u', '-q', ...(lazy ? ['-z'] : []), '--', mountpoint])
  }
}

/** The number of the descriptor is that of mount(8). Without `-i` it would look for a program that mounts such filesystems. */
async function asRoot(place: string, { source = 'neve', allowOther = false }: MountOptions): Promise<number> {
  const descriptor = openDevice(place)
  const ids = `user_id=${process.getuid?.() ?? 0},group_id=${process.getgid?.() ?? 0}`
  const flags = [...FLAGS, ...(allowOther ? ['allow_other'] : []), 'fd=3,rootmode=40000', ids].join()
  try {
    const args = ['-i', '-t', `fuse.${TYPE}`, '-o', flags, '--', source, place]
    await runProgram(place, 'mount', args, { descriptor })
    return descriptor
  } catch (error) {
    closeSync(descriptor)
    throw error
  }
}

/** fusermount3 opens the device and mounts, and sends the device over a socket. */
async function asUser(place: string, { source = 'neve', allowOther = false }: MountOptions): Promise<number> {
  const { DescriptorSocket } = await import('./descriptor-socket.js')
  const socket = new DescriptorSocket()
  try {
    const named = [`fsname=${source.replaceAll(/[\\,]/g, '\\$&')}`, `subtype=${TYPE}`]
    const flags = [...FLAGS, ...named, ...(allowOther ? ['allow_other'] : [])].join()
    await runProgram(place, 'fusermount3', ['-o', flags, '--', place], {
      descriptor: socket.theirs,
      environment: { _FUSE_COMMFD: '3' },
    })
    const descriptor = socket.receive()
    if (descriptor === undefined) throw new MountError(place, 'fusermount3 mounted, but sent no device')
    return descriptor
  } finally {
    socket[Symbol.dispose]()
  }
}

function openDevice(place: string): number {
  try {
    return openSync('/dev/fuse', 'r+')
  } catch (cause) {
    throw new MountError(place, `cannot be mounted on: ${reasonOf(cause)}`, { cause })
  }
}

async function placeOf(mountpoint: string, { forceUnmountStale = false }: MountOptions): Promise<string> {
  let isDirectory: boolean
  let place: string
  try {
    place = await realpath(mountpoint)
    isDirectory = (await stat(place)).isDirectory()
    // The kernel may know what it is without asking the server; this it always asks for.
    await statfs(place)
  } catch (cause) {
    if (!isStale(cause)) {
      throw new MountError(mountpoint, `cannot be mounted on: ${reasonOf(cause)}`, { cause })
    }
    if (!forceUnmountStale) {
      throw new MountError(mountpoint, 'is a mount whose server is gone: unmount it first', { cause })
    }
    // Its parent can be looked at; what is mounted there cannot.
    await unmountDevice(join(await realpath(dirname(resolve(mountpoint))), basename(resolve(mountpoint))), {
      lazy: true,
    })
    return placeOf(mountpoint, {})
  }
  if (!isDirectory) throw new MountError(mountpoint, 'cannot be mounted on: it is not a directory')
  return place
}

function isStale(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOTCONN'
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
