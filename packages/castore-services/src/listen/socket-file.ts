import { chmodSync, chownSync, lstatSync, unlinkSync } from 'node:fs'
import { lstat, rename, unlink } from 'node:fs/promises'
import { connect, type Server } from 'node:net'
import { dirname, join } from 'node:path'
import { CastoreError } from '../errors.js'

/** How the file of a socket is made (spec 08 section 4.2). */
export interface SocketFileOptions {
  /** Take away the file of a socket on which nobody answers any more. Default: false, a file that is there is in the way. */
  readonly unlink?: boolean | undefined
  /** Permissions, in force before anybody can connect. Default: what the process' umask leaves. */
  readonly mode?: number | undefined
  /** Who owns it, by number, in force before anybody else can connect. Default: this process. */
  readonly uid?: number | undefined
  readonly gid?: number | undefined
}

/**
 * Makes way for the file of a socket.
 *
 * @throws CastoreError `unavailable` when somebody answers on it, or it was left behind and `unlink` is not set;
 *   `invalid-input` when it is no socket
 */
export async function clearSocketFile(
  path: string,
  { unlink: takeAway = false }: SocketFileOptions,
): Promise<void> {
  const found = await lstat(path, { bigint: true }).catch(whenMissing)
  if (found === undefined) return
  if (!found.isSocket()) {
    throw new CastoreError('invalid-input', `unable to listen on ${path}: there is a file that is no socket`)
  }
  if (await answers(path)) {
    throw new CastoreError('unavailable', `unable to listen on ${path}: another server answers there`)
  }
  if (!takeAway) {
    throw new CastoreError(
      'unavailable',
      `unable to listen on ${path}: a server that is gone left its socket there`,
    )
  }
  // Whoever takes the place in this moment must not lose it: what is moved away is looked at before it is deleted.
  const aside = join(dirname(path), `.neve-${process.pid}-${found.ino}`)
  await rename(path, aside).catch(whenMissing)
  const moved = await lstat(aside, { bigint: true }).catch(whenMissing)
  if (moved === undefined) return
  if (moved.ino === found.ino && moved.mtimeNs === found.mtimeNs) {
    await unlink(aside)
    return
  }
  await rename(aside, path)
  throw new CastoreError('unavailable', `unable to listen on ${path}: another server has just begun to`)
}

function whenMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', (error: NodeJS.ErrnoException) => {
      // Full queues and forbidden sockets belong to somebody who lives.
      if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') resolve(false)
      else if (error.code === 'EAGAIN' || error.code === 'EACCES') resolve(true)
      else reject(error)
    })
  })
}

/**
 * Calls what makes the socket's file, and gives that its owner and permissions.
 *
 * @param make has to be done when it returns, as the process' umask is another one meanwhile; tells whether it has made it
 */
export function withSocketFile(
  path: string,
  { mode, uid, gid }: SocketFileOptions,
  make: () => boolean,
): void {
  if (mode === undefined && uid === undefined && gid === undefined) {
    make()
    return
  }
  const before = process.umask(0o777)
  let made: boolean
  try {
    made = make()
  } finally {
    process.umask(before)
  }
  if (!made) return
  // Until here nobody but root may connect.
  if (uid !== undefined || gid !== undefined) chownSync(path, uid ?? -1, gid ?? -1)
  chmodSync(path, mode ?? 0o777 & ~before)
}

/**
 * Deletes the file of a socket when the process ends without having closed the server: by a second signal, or an error.
 *
 * @returns stops that
 */
export function unlinkAtExit(path: string, server: Server): () => void {
  // In bigint, as Node 20 believes of the next paths that it resolves, for `require` too, that they are what a plain
  // lstatSync has seen last: if that is a socket it stops at their first link.
  const { dev, ino } = lstatSync(path, { bigint: true })
  const onExit = (): void => {
    try {
      const now = lstatSync(path, { bigint: true })
      if (server.listening && now.dev === dev && now.ino === ino) unlinkSync(path)
    } catch {
      // It is gone, or nothing can be done about it any more.
    }
  }
  process.once('exit', onExit)
  return () => process.off('exit', onExit)
}
