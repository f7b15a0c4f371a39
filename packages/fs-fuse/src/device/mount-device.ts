import { spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { realpath, stat } from 'node:fs/promises'

/** How a filesystem is mounted. */
export interface MountOptions {
  /** What `mount` and `df` show as the source. Default: `neve`. */
  readonly source?: string | undefined
  /** Whether others than the mounting user may enter. For users it needs `user_allow_other` in /etc/fuse.conf. Default: false. */
  readonly allowOther?: boolean | undefined
}

/** A mounted device. */
export interface MountedDevice {
  /** The descriptor of `/dev/fuse`: whoever serves it closes it. */
  readonly descriptor: number
  /** The mount point, absolute and without symlinks. */
  readonly mountpoint: string
}

/** A filesystem could not be mounted or unmounted. */
export class MountError extends Error {
  override readonly name = 'MountError'
  readonly code = 'mount'

  constructor(
    readonly mountpoint: string,
    detail: string,
    options?: { readonly cause?: unknown },
  ) {
    super(`${mountpoint}: ${detail}`, options)
  }
}

const FLAGS = 'ro,nosuid,nodev,noatime,default_permissions'

/**
 * Mounts, but serves nothing yet: whoever enters the mount waits until somebody does (spec 05 section 11.1).
 *
 * @param mountpoint a directory
 * @throws MountError
 */
export async function mountDevice(mountpoint: string, options: MountOptions = {}): Promise<MountedDevice> {
  const place = await placeOf(mountpoint)
  const { source = 'neve', allowOther = false } = options
  const descriptor = openSync('/dev/fuse', 'r+')
  try {
    const other = allowOther ? ',allow_other' : ''
    const flags = `${FLAGS}${other},fd=3,rootmode=40000,user_id=${process.getuid!()},group_id=${process.getgid!()}`
    await run(place, 'mount', ['-i', '-t', 'fuse.neve', '-o', flags, '--', source, place], descriptor)
  } catch (error) {
    closeSync(descriptor)
    throw error
  }
  return { descriptor, mountpoint: place }
}

/** Unmounts; `lazy` lets those who are inside finish. */
export async function unmountDevice(mountpoint: string, { lazy = false } = {}): Promise<void> {
  await run(mountpoint, 'umount', ['-i', ...(lazy ? ['-l'] : []), '--', mountpoint])
}

async function placeOf(mountpoint: string): Promise<string> {
  try {
    const place = await realpath(mountpoint)
    if ((await stat(place)).isDirectory()) return place
  } catch (cause) {
    throw new MountError(
      mountpoint,
      `cannot be mounted on: ${cause instanceof Error ? cause.message : cause}`,
      {
        cause,
      },
    )
  }
  throw new MountError(mountpoint, 'cannot be mounted on: it is not a directory')
}

/** Runs a program without waiting synchronously: it may look at the mount that this process serves. */
async function run(
  mountpoint: string,
  program: string,
  args: readonly string[],
  device?: number,
): Promise<void> {
  const stdio = ['ignore', 'ignore', 'pipe', ...(device === undefined ? [] : [device])] as const
  const child = spawn(program, args, { stdio: [...stdio], env: { ...process.env, LC_ALL: 'C' } })
  let said = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', (cause) => reject(new MountError(mountpoint, `cannot run ${program}`, { cause })))
    child.once('close', resolve)
  })
  if (code !== 0) throw new MountError(mountpoint, said.trim() || `${program} exited with ${code}`)
}
