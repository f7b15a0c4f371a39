import { lstat, unlink } from 'node:fs/promises'
import { connect } from 'node:net'
import { isAbsolute } from 'node:path'
import { CastoreError } from '../../errors.js'

/** Where a server is to listen. */
export type ListenAddress =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string }

const MAX_SOCKET_PATH = 107

/**
 * Reads `127.0.0.1:8000`, `[::1]:0`, `localhost:8000`, `unix:/run/castore.sock` or the absolute path alone. Port 0 is
 * any that is free.
 *
 * @throws CastoreError `invalid-input`
 */
export function parseListenAddress(text: string): ListenAddress {
  const path = text.startsWith('unix:') ? text.slice('unix:'.length) : isAbsolute(text) ? text : undefined
  if (path !== undefined) return unixAddress(text, path)
  const match = /^(\[[0-9a-fA-F:.]+(?:%[^\]]+)?\]|[^:[\]/]+):(\d{1,5})$/.exec(text)
  const port = Number(match?.[2])
  if (match === null || port > 65_535) {
    throw refusal(text, 'host:port, [address]:port, unix:/path or the absolute path of a socket')
  }
  return { kind: 'tcp', host: match[1]!, port }
}

function unixAddress(text: string, path: string): ListenAddress {
  if (!isAbsolute(path) || /^\/+$/.test(path)) throw refusal(text, 'the absolute path of a socket')
  if (/[\0\r\n]/.test(path)) throw refusal(text, 'a path without line breaks and NULs')
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH) {
    throw refusal(text, `a path of at most ${MAX_SOCKET_PATH} bytes`)
  }
  return { kind: 'unix', path: path.replace(/^\/+/, '/') }
}

/**
 * Takes away a socket file that a server left behind, and nothing else.
 *
 * @throws CastoreError `unavailable` when somebody answers on it, `invalid-input` when it is no socket
 */
export async function clearStaleSocket(path: string): Promise<void> {
  const found = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (found === undefined) return
  if (!found.isSocket()) {
    throw new CastoreError('invalid-input', `unable to listen on ${path}: there is a file that is no socket`)
  }
  if (await answers(path)) {
    throw new CastoreError('unavailable', `unable to listen on ${path}: another server answers there`)
  }
  await unlink(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
  })
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

function refusal(text: string, expected: string): CastoreError {
  return new CastoreError(
    'invalid-input',
    `invalid address to listen on: expected ${expected}, got '${text}'`,
  )
}
