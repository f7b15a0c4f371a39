import { closeSync } from 'node:fs'
import { createRequire } from 'node:module'

type CFunction = (...args: readonly unknown[]) => number

interface Koffi {
  load(path: string | null): { func(signature: string): CFunction }
  struct(name: string, fields: Readonly<Record<string, string>>): unknown
  errno(): number
}

interface SocketCalls {
  readonly socketpair: CFunction
  readonly recvmsg: CFunction
  readonly errno: () => number
}

const AF_UNIX = 1
const SOCK_STREAM = 1
const SOCK_CLOEXEC = 0o2000000
const SOL_SOCKET = 1
const SCM_RIGHTS = 1
const MSG_DONTWAIT = 0x40
const MSG_CMSG_CLOEXEC = 0x40000000
/** `struct cmsghdr` on a machine of 64 bits: length, level, type. */
const CMSG_HEADER = 16

let loaded: SocketCalls | undefined

/** Node can neither make a pair of sockets nor take a descriptor from one. */
function load(): SocketCalls {
  if (loaded !== undefined) return loaded
  const koffi = createRequire(import.meta.url)('koffi') as Koffi
  koffi.struct('neve_iovec', { base: 'void *', length: 'size_t' })
  koffi.struct('neve_msghdr', {
    name: 'void *',
    nameLength: 'uint32_t',
    pieces: 'neve_iovec *',
    pieceCount: 'size_t',
    control: 'void *',
    controlLength: 'size_t',
    flags: 'int',
  })
  const library = koffi.load(null)
  loaded = {
    socketpair: library.func('int socketpair(int domain, int type, int protocol, _Out_ int *sockets)'),
    recvmsg: library.func('long recvmsg(int socket, _Inout_ neve_msghdr *message, int flags)'),
    errno: () => koffi.errno(),
  }
  return loaded
}

/** A pair of connected sockets, over one of which somebody sends a descriptor. */
export class DescriptorSocket implements Disposable {
  /** The end for whoever sends. */
  readonly theirs: number
  readonly #ours: number
  #theirsOpen = true

  /** @throws Error where there is no koffi, or no socket to be had */
  constructor() {
    const calls = load()
    const pair = [0, 0]
    if (calls.socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) !== 0) {
      throw new Error(`unable to make a pair of sockets: errno ${calls.errno()}`)
    }
    this.#ours = pair[0]!
    this.theirs = pair[1]!
  }

  /** Closes the sender's end in this process. */
  closeTheirs(): void {
    if (this.#theirsOpen) closeSync(this.theirs)
    this.#theirsOpen = false
  }

  /**
   * Takes the descriptor that was sent. Never waits.
   *
   * @returns the descriptor, which is the caller's; undefined when none was sent
   */
  receive(): number | undefined {
    const calls = load()
    const control = Buffer.alloc(CMSG_HEADER + 8)
    const message = {
      name: null,
      nameLength: 0,
      pieces: [{ base: Buffer.alloc(1), length: 1 }],
      pieceCount: 1,
      control,
      controlLength: control.length,
      flags: 0,
    }
    if (calls.recvmsg(this.#ours, message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) < 0) return undefined
    const isDescriptor =
      Number(control.readBigUInt64LE(0)) === CMSG_HEADER + 4 &&
      control.readInt32LE(8) === SOL_SOCKET &&
      control.readInt32LE(12) === SCM_RIGHTS
    return isDescriptor ? control.readInt32LE(CMSG_HEADER) : undefined
  }

  [Symbol.dispose](): void {
    closeSync(this.#ours)
    this.closeTheirs()
  }
}
