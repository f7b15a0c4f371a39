import { type AddressInfo, createServer, isIP, type Server, type Socket } from 'node:net'
import { resolve } from 'node:path'
import { CastoreError } from '../errors.js'
import type { ListenAddress } from './listen-address.js'
import { listenAbstract } from './native-sockets.js'
import { type PassedSocketsEnvironment, passedSockets } from './passed-sockets.js'
import { clearSocketFile, type SocketFileOptions, unlinkAtExit, withSocketFile } from './socket-file.js'

/** How to listen (spec 08 section 4.2). */
export interface ListenSocketOptions extends SocketFileOptions {
  /** Take descriptor 3 without looking at `LISTEN_` variables. Default: false. */
  readonly ignoreEnvironment?: boolean | undefined
  /** What the service manager said. Default: what the environment says. */
  readonly passed?: PassedSocketsEnvironment | undefined
  /** After how many milliseconds of silence the kernel asks a TCP peer whether it is still there. Default: never. */
  readonly keepAlive?: number | undefined
  /** Leave IPv4 out on an IPv6 address. Default: false, so that `[::]` takes both. */
  readonly ipv6Only?: boolean | undefined
  /** How many connections may wait to be accepted. Default: 1024; the kernel may have less. */
  readonly backlog?: number | undefined
  /** Hand out connections of which nothing has been read, to be sent to another process. Default: false. */
  readonly paused?: boolean | undefined
  /** Told when a connection could not be accepted; listening goes on. Default: nobody is. */
  readonly onError?: ((error: Error) => void) | undefined
}

/** A socket on which a process listens. */
export interface BoundSocket {
  readonly kind: 'tcp' | 'unix' | 'abstract'
  /** `127.0.0.1:40123`, `[::1]:8000`, `/run/neve.sock`, `@name`; of a unix socket that was passed: `fd:3`. */
  readonly address: string
  /** Whether the kernel lets in peers from other machines. */
  readonly remote: boolean
  /** Takes no more connections, and deletes the file that it made. Those that stand stay. */
  close(): Promise<void>
}

/** Takes a connection; `tcp` is false for one over a unix socket. */
export type OnConnection = (socket: Socket, via: { readonly tcp: boolean }) => void

const DEFAULT_BACKLOG = 1024

/**
 * Listens on an address. Descriptors are closed on exec, TCP connections send without delay.
 *
 * @param onConnection is called for each connection
 * @returns one socket; for `sd-listen:*` and names that several have, several
 * @throws CastoreError `unavailable` when an address is taken, not ours, or no socket was passed
 */
export async function listenOn(
  address: Exclude<ListenAddress, { readonly kind: 'stdio' }>,
  onConnection: OnConnection,
  options: ListenSocketOptions = {},
): Promise<readonly BoundSocket[]> {
  const { backlog = DEFAULT_BACKLOG } = options
  switch (address.kind) {
    case 'tcp': {
      const { host, port } = address
      const { ipv6Only = false } = options
      const bound = await bind(`${host}:${port}`, onConnection, options, (server) =>
        server.listen({ host, port, backlog, ipv6Only }),
      )
      return [boundTcp(bound)]
    }
    case 'unix': {
      const path = resolve(address.path)
      await clearSocketFile(path, options)
      const server = await bind(path, onConnection, options, (made) =>
        withSocketFile(path, options, () => made.listen({ path, backlog }).listening),
      )
      return [boundUnix('unix', path, server, unlinkAtExit(path, server))]
    }
    case 'abstract': {
      const text = `@${address.name}`
      const server = await bind(text, onConnection, options, (made) =>
        made.listen({ fd: listenAbstract(address.name, backlog), backlog }),
      )
      return [boundUnix('abstract', text, server)]
    }
    case 'passed':
      return await listenOnPassed(address, onConnection, { ...options, backlog })
  }
}

async function listenOnPassed(
  { name, all }: Extract<ListenAddress, { readonly kind: 'passed' }>,
  onConnection: OnConnection,
  options: ListenSocketOptions,
): Promise<readonly BoundSocket[]> {
  const { ignoreEnvironment, passed, backlog } = options
  const bound: BoundSocket[] = []
  try {
    for (const descriptor of passedSockets({ name, all, ignoreEnvironment }, passed)) {
      const text = `fd:${descriptor}`
      const server = await bind(text, onConnection, options, (made) =>
        made.listen({ fd: descriptor, backlog }),
      )
      bound.push(isTcp(server) ? boundTcp(server) : boundUnix('unix', text, server))
    }
  } catch (error) {
    await Promise.all(bound.map((socket) => socket.close()))
    throw error
  }
  return bound
}

async function bind(
  text: string,
  onConnection: OnConnection,
  { keepAlive, paused = false, onError }: ListenSocketOptions,
  listen: (server: Server) => void,
): Promise<Server> {
  const server = createServer({
    noDelay: true,
    pauseOnConnect: paused,
    ...(keepAlive !== undefined && { keepAlive: true, keepAliveInitialDelay: keepAlive }),
  })
  server.on('connection', (socket) => onConnection(socket, { tcp: isTcp(server) }))
  try {
    await new Promise<void>((done, fail) => {
      server.once('error', fail)
      server.once('listening', () => {
        server.off('error', fail)
        done()
      })
      listen(server)
    })
  } catch (cause) {
    server.close()
    if (cause instanceof CastoreError)
      throw new CastoreError(cause.code, `unable to listen on ${text}: ${cause.message}`, { cause })
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new CastoreError('unavailable', `unable to listen on ${text}: ${reason}`, { cause })
  }
  // The kernel could not give a connection, for want of descriptors perhaps: there will be others.
  server.on('error', (error) => onError?.(error))
  return server
}

/** Node knows the path of a socket that it made, and nothing of one that it was given. */
function isTcp(server: Server): boolean {
  return typeof (server.address() ?? '') === 'object'
}

function boundTcp(server: Server): BoundSocket {
  const { address, port } = server.address() as AddressInfo
  return {
    kind: 'tcp',
    address: isIP(address) === 6 ? `[${address}]:${port}` : `${address}:${port}`,
    remote: !isLoopback(address),
    close: () => closeServer(server),
  }
}

function boundUnix(
  kind: 'unix' | 'abstract',
  address: string,
  server: Server,
  forget: () => void = () => {},
): BoundSocket {
  return {
    kind,
    address,
    remote: false,
    async close() {
      await closeServer(server)
      forget()
    },
  }
}

/** Whether an IP address is one of this machine alone. */
export function isLoopback(address: string): boolean {
  const four = /^::ffff:([\d.]+)$/i.exec(address)?.[1] ?? address
  return isIP(four) === 4 ? four.startsWith('127.') : address === '::1'
}

/** Connections that were handed out are whoever took them's: nobody waits for their end. */
function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    if (!server.listening) return resolve()
    server.close()
    resolve()
  })
}
