import { closeSync } from 'node:fs'
import { createRequire } from 'node:module'
import { CastoreError } from '../errors.js'

type CFunction = (...args: readonly (number | Uint8Array)[]) => number

interface Koffi {
  load(path: string | null): { func(signature: string): CFunction }
  errno(): number
}

/** Calls of the C library, for what Node's sockets cannot do. */
interface SocketCalls {
  readonly socket: CFunction
  readonly bind: CFunction
  readonly listen: CFunction
  readonly sendto: CFunction
  readonly errno: () => number
}

const AF_UNIX = 1
const SOCK_STREAM = 1
const SOCK_DGRAM = 2
const SOCK_CLOEXEC = 0o2000000
const MSG_NOSIGNAL = 0x4000
const MAX_NAME = 107
const REASONS: Readonly<Record<number, string>> = {
  2: 'no such file or directory',
  11: 'the queue is full',
  13: 'permission denied',
  24: 'too many open files',
  98: 'address already in use',
  111: 'connection refused',
}

let loaded: SocketCalls | undefined

function load(): SocketCalls {
  if (loaded !== undefined) return loaded
  if (process.platform !== 'linux')
    throw new CastoreError('unavailable', 'there are no such sockets but on Linux')
  let koffi: Koffi
  try {
    koffi = createRequire(import.meta.url)('koffi') as Koffi
  } catch (cause) {
    throw new CastoreError(
      'unavailable',
      'the package koffi, which is needed for such sockets, cannot be loaded',
      {
        cause,
      },
    )
  }
  const library = koffi.load(null)
  loaded = {
    socket: library.func('int socket(int domain, int type, int protocol)'),
    bind: library.func('int bind(int fd, const void *address, unsigned int length)'),
    listen: library.func('int listen(int fd, int backlog)'),
    sendto: library.func(
      'long sendto(int fd, const void *data, size_t size, int flags, const void *address, unsigned int length)',
    ),
    errno: () => koffi.errno(),
  }
  return loaded
}

/**
 * Listens on an abstract socket. Node 20 can do so too, but fills the name up with NULs, under which nobody but Node
 * finds it.
 *
 * @returns the descriptor, which is the caller's
 * @throws CastoreError `unavailable` when the name is taken, or where there are no such sockets
 */
export function listenAbstract(name: string, backlog: number): number {
  const calls = load()
  return withSocket(calls, SOCK_STREAM, (descriptor) => {
    const address = abstractAddress(name)
    if (calls.bind(descriptor, address, address.length) !== 0) throw failure(calls, 'bind')
    if (calls.listen(descriptor, backlog) !== 0) throw failure(calls, 'listen')
    return descriptor
  })
}

/**
 * Sends one datagram to a unix socket: to a path, or with `@` before it to an abstract name.
 *
 * @throws CastoreError `unavailable` when it cannot be sent
 */
export function sendDatagram(to: string, data: Uint8Array): void {
  const calls = load()
  const address = to.startsWith('@') ? abstractAddress(to.slice(1)) : pathAddress(to)
  const descriptor = withSocket(calls, SOCK_DGRAM, (opened) => {
    if (calls.sendto(opened, data, data.length, MSG_NOSIGNAL, address, address.length) < 0) {
      throw failure(calls, 'send')
    }
    return opened
  })
  closeSync(descriptor)
}

/** Opens a socket, which is closed when its use fails. */
function withSocket(calls: SocketCalls, type: number, use: (descriptor: number) => number): number {
  const descriptor = calls.socket(AF_UNIX, type | SOCK_CLOEXEC, 0)
  if (descriptor < 0) throw failure(calls, 'open a socket')
  try {
    return use(descriptor)
  } catch (error) {
    closeSync(descriptor)
    throw error
  }
}

/** A sockaddr_un whose length says where the name ends. */
function abstractAddress(name: string): Uint8Array {
  return socketAddress(Buffer.from(`\0${name}`))
}

function pathAddress(path: string): Uint8Array {
  return socketAddress(Buffer.from(`${path}\0`))
}

function socketAddress(name: Uint8Array): Uint8Array {
  if (name.length > MAX_NAME + 1) {
    throw new CastoreError(
      'invalid-input',
      `name of a socket has ${name.length - 1} bytes, expected at most ${MAX_NAME}`,
    )
  }
  const address = Buffer.alloc(2 + name.length)
  new Uint16Array(address.buffer, address.byteOffset, 1)[0] = AF_UNIX
  address.set(name, 2)
  return address
}

function failure({ errno }: SocketCalls, what: string): CastoreError {
  const number = errno()
  return new CastoreError('unavailable', `unable to ${what}: ${REASONS[number] ?? `errno ${number}`}`)
}
