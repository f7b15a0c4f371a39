import { readFileSync, readlinkSync } from 'node:fs'
import { chmod } from 'node:fs/promises'
import { createServer, type ListenOptions as NetOptions, type Server } from 'node:net'
import { CastoreError } from '../../errors.js'
import { clearStaleSocket, parseListenAddress } from './listen-address.js'

/**
 * Where to listen: an address, the number of a descriptor that listens, or a server that does; the last two are closed
 * in the end.
 */
export type ListenTarget = string | { readonly fd: number } | Server

/** Options of listening. */
export interface ListenOptions {
  /** Permissions of a socket's file. Default: what the process' umask leaves. */
  readonly mode?: number | undefined
}

/**
 * Begins to listen, or takes over what listens.
 *
 * @throws CastoreError `invalid-input`, `unavailable`
 */
export async function openSocket(target: ListenTarget, { mode }: ListenOptions = {}): Promise<Server> {
  if (typeof target !== 'string') {
    if (!('fd' in target)) return target
    return await listen({ fd: target.fd }, `descriptor ${target.fd}`)
  }
  const address = parseListenAddress(target)
  if (address.kind === 'tcp') {
    const host = address.host.replace(/^\[(.*)\]$/, '$1')
    return await listen({ host, port: address.port }, target)
  }
  await clearStaleSocket(address.path)
  const server = await listen({ path: address.path }, target)
  if (mode !== undefined) await chmod(address.path, mode)
  return server
}

async function listen(options: NetOptions & { readonly fd?: number }, name: string): Promise<Server> {
  // Answers must not wait for each other: the reference loses 40 ms per small read to that.
  const server = createServer({ noDelay: true })
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(options, resolve)
    })
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new CastoreError('unavailable', `unable to listen on ${name}: ${reason}`, { cause })
  }
  return server
}

/** What a server listens on, in words: `unix:/run/castore.sock`, `127.0.0.1:8000`, and the URL for clients. */
export interface BoundAddress {
  readonly address: string
  readonly url: string
  /** Whether it speaks TLS: clients of unix sockets do not. */
  readonly secure: boolean
}

/** @param descriptor that was taken over: Node does not know the path of such a socket */
export function boundAddress(server: Server, tls: boolean, descriptor?: number): BoundAddress {
  const bound = server.address()
  if (bound === null || typeof bound === 'string') {
    const path = bound ?? (descriptor === undefined ? undefined : pathOfSocket(descriptor))
    if (path === undefined) {
      const name = descriptor === undefined ? 'a socket' : `descriptor ${descriptor}`
      return { address: name, url: name, secure: false }
    }
    const url = `grpc+unix:${path.split('/').map(encodeURIComponent).join('/')}`
    return { address: `unix:${path}`, url, secure: false }
  }
  const host = bound.family === 'IPv6' ? `[${bound.address}]` : bound.address
  const address = `${host}:${bound.port}`
  return { address, url: `${tls ? 'grpc+https' : 'grpc+http'}://${address}`, secure: tls }
}

/** The path of a unix socket, as Linux tells it; undefined when it has none. */
function pathOfSocket(descriptor: number): string | undefined {
  try {
    const inode = /\[(\d+)\]/.exec(readlinkSync(`/proc/self/fd/${descriptor}`))?.[1]
    const line = readFileSync('/proc/net/unix', 'utf8')
      .split('\n')
      .find((text) => text.split(/ +/)[6] === inode)
    return line?.split(/ +/).slice(7).join(' ') || undefined
  } catch {
    return undefined
  }
}
