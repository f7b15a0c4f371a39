import { constants } from 'node:fs'
import { Errno, FilesystemError } from './errno.js'
import type { CastoreFilesystem, ListedEntry } from './filesystem/castore-filesystem.js'
import { ROOT_NODE } from './filesystem/node-table.js'
import { ENTRY, Opcode, OpenFlag, OUT_HEADER, PROTOCOL, WRITING_OPCODES } from './protocol/constants.js'
import { type Negotiated, negotiate, writeInit } from './protocol/negotiate.js'
import { direntSize, REPLY_ROOM, ReplyWriter } from './protocol/reply.js'
import { FuseRequest } from './protocol/request.js'
import type { FuseReceiver, FuseTransport } from './transport.js'

/** Options of a {@link FuseSession}. */
export interface FuseSessionOptions {
  /** Hears of what must not happen: a message that is no request, a reply that the kernel refuses. Never throws. */
  readonly onFault?: ((error: unknown) => void) | undefined
  /** Called when the kernel has begun the connection. */
  readonly onInit?: ((negotiated: Negotiated) => void) | undefined
}

const MAX_READ = 1024 * 1024
/** Bodies of up to so many bytes are copied behind their header. */
const COPIED = 32 * 1024
const SEEK_DATA = 3
const SEEK_HOLE = 4
const DOT = 0x2e
const { O_DIRECT } = constants

/** One connection to a kernel: requests of the FUSE protocol, answered by a filesystem (spec 05 sections 5 and 11). */
export class FuseSession implements FuseReceiver {
  readonly #filesystem: CastoreFilesystem
  readonly #transport: FuseTransport
  readonly #options: FuseSessionOptions
  readonly #reply = new ReplyWriter()
  /** Requests that wait for something, by their numbers. */
  readonly #waiting = new Map<number, AbortController>()
  #negotiated: Negotiated | undefined

  constructor(filesystem: CastoreFilesystem, transport: FuseTransport, options: FuseSessionOptions = {}) {
    this.#filesystem = filesystem
    this.#transport = transport
    this.#options = options
  }

  get isBusy(): boolean {
    return this.#waiting.size > 0
  }

  /** Answers requests until the connection ends; then nothing is open any more. */
  async run(): Promise<void> {
    try {
      await this.#transport.run(this)
    } finally {
      for (const controller of this.#waiting.values()) controller.abort()
      this.#filesystem.close()
    }
  }

  receive(message: Uint8Array): void {
    const request = FuseRequest.parse(message)
    if (request === undefined) {
      this.#options.onFault?.(new Error(`a message of ${message.length} bytes is no FUSE request`))
      return
    }
    try {
      if (!request.isWhole) throw new FilesystemError(Errno.EINVAL)
      const waiting = this.#dispatch(request)
      if (waiting !== undefined) this.#wait(request, waiting)
    } catch (error) {
      this.#fail(request, error)
    }
  }

  /** @returns undefined when the request is answered, or needs no answer */
  #dispatch(request: FuseRequest): Promise<void> | undefined {
    const { opcode } = request
    if (opcode === Opcode.INIT) return this.#init(request)
    if (this.#negotiated === undefined) throw new FilesystemError(Errno.EIO)
    switch (opcode) {
      case Opcode.LOOKUP:
        return this.#lookup(request)
      case Opcode.GETATTR:
        this.#send(this.#begin(request).attributes(this.#filesystem.getattr(request.node)))
        return undefined
      case Opcode.READLINK:
        this.#send(this.#begin(request), [this.#filesystem.readlink(request.node)])
        return undefined
      case Opcode.OPEN:
        return this.#open(request)
      case Opcode.READ:
        return this.#read(request)
      case Opcode.RELEASE:
        this.#filesystem.release(request.u64(0))
        return this.#done(request)
      case Opcode.OPENDIR:
        return this.#opendir(request)
      case Opcode.READDIR:
      case Opcode.READDIRPLUS:
        return this.#readdir(request)
      case Opcode.RELEASEDIR:
        this.#filesystem.releasedir(request.u64(0))
        return this.#done(request)
      case Opcode.FORGET:
        this.#filesystem.forget(request.node, request.u64Clamped(0))
        return undefined
      case Opcode.BATCH_FORGET:
        return this.#batchForget(request)
      case Opcode.GETXATTR:
        this.#xattr(request, this.#filesystem.getxattr(request.node, request.name(8)))
        return undefined
      case Opcode.LISTXATTR:
        this.#xattr(request, this.#filesystem.listxattr(request.node))
        return undefined
      case Opcode.STATFS:
        return this.#statfs(request)
      case Opcode.LSEEK:
        return this.#lseek(request)
      case Opcode.FSYNC:
      case Opcode.FSYNCDIR:
      case Opcode.FLUSH:
      case Opcode.DESTROY:
        return this.#done(request)
      case Opcode.INTERRUPT:
        this.#waiting.get(request.u64Clamped(0))?.abort()
        return undefined
      case Opcode.NOTIFY_REPLY:
        return undefined
      default:
        throw new FilesystemError(WRITING_OPCODES.has(opcode) ? Errno.EROFS : Errno.ENOSYS)
    }
  }

  #init(request: FuseRequest): undefined {
    const negotiated = negotiate(request)
    if (negotiated.major < PROTOCOL.major) throw new FilesystemError(Errno.EPROTO)
    writeInit(this.#begin(request), negotiated)
    // A newer kernel begins again with the version that it is told.
    if (negotiated.major === PROTOCOL.major) this.#negotiated = negotiated
    this.#send(this.#reply)
    if (this.#negotiated !== undefined) this.#options.onInit?.(negotiated)
    return undefined
  }

  #lookup(request: FuseRequest): Promise<void> | undefined {
    const parent = request.node
    const name = new Uint8Array(request.name(0))
    if (name[0] === DOT && (name.length === 1 || (name.length === 2 && name[1] === DOT))) {
      const node = name.length === 1 ? parent : this.#filesystem.nodes.parent(parent)
      if (node === undefined) throw new FilesystemError(Errno.ESTALE)
      const found = this.#filesystem.lookupSelf(node)
      this.#send(this.#begin(request).entry(found.node, found.attributes))
      return undefined
    }
    return this.#answer(
      request,
      (options) => this.#filesystem.lookup(parent, name, options),
      (found) => {
        if (found === undefined) {
          if (parent === ROOT_NODE) throw new FilesystemError(Errno.ENOENT)
          this.#send(this.#begin(request).absentEntry())
          return
        }
        const delivered = this.#send(this.#begin(request).entry(found.node, found.attributes))
        if (!delivered) this.#filesystem.forget(found.node, 1)
      },
    )
  }

  #open(request: FuseRequest): Promise<void> | undefined {
    return this.#answer(
      request,
      (options) => this.#filesystem.open(request.node, options),
      (handle) => {
        const flags = OpenFlag.KEEP_CACHE | OpenFlag.NOFLUSH
        if (!this.#send(this.#begin(request).u64(handle).u32(flags).u32(0))) this.#filesystem.release(handle)
      },
    )
  }

  #read(request: FuseRequest): Promise<void> | undefined {
    const handle = request.u64(0)
    const offset = request.u64(8)
    const length = Math.min(request.u32(16), MAX_READ)
    // Who reads past the kernel's cache is not asked again when something is wrong: it is answered here.
    const ticket = (request.u32(32) & O_DIRECT) === 0 ? request : undefined
    return this.#answer(
      request,
      (options) => this.#filesystem.read(request.node, handle, offset, length, options, ticket),
      (pieces) => {
        if (pieces !== undefined) this.#send(this.#begin(request), pieces)
      },
    )
  }

  #opendir(request: FuseRequest): undefined {
    const handle = this.#filesystem.opendir(request.node)
    // What is in the root may change; what is in a directory never does.
    const flags = request.node === ROOT_NODE ? 0 : OpenFlag.KEEP_CACHE | OpenFlag.CACHE_DIR
    const delivered = this.#send(this.#begin(request).u64(handle).u32(flags).u32(0))
    if (!delivered) this.#filesystem.releasedir(handle)
    return undefined
  }

  #readdir(request: FuseRequest): Promise<void> | undefined {
    const plus = request.opcode === Opcode.READDIRPLUS
    const room = Math.min(request.u32(16), REPLY_ROOM - OUT_HEADER)
    const entries: ListedEntry[] = []
    let length = 0
    const visit = (entry: ListedEntry): boolean => {
      length += (plus ? ENTRY : 0) + direntSize(entry.name)
      if (length <= room) entries.push(entry)
      // An empty listing would mean that there is nothing more.
      else if (entries.length === 0) throw new FilesystemError(Errno.EINVAL)
      return length <= room
    }
    return this.#answer(
      request,
      (options) => this.#filesystem.readdir(request.node, request.u64(0), request.u64(8), visit, options),
      () => this.#sendListing(request, entries, plus),
    )
  }

  #sendListing(request: FuseRequest, entries: readonly ListedEntry[], plus: boolean): void {
    const reply = this.#begin(request)
    const told: number[] = []
    for (const { name, attributes, next, remember } of entries) {
      if (plus) {
        const node = remember()
        told.push(node)
        reply.entry(node, attributes)
      }
      reply.dirent(name, attributes, next)
    }
    if (!this.#send(reply)) for (const node of told) this.#filesystem.forget(node, 1)
  }

  #batchForget(request: FuseRequest): undefined {
    const count = request.u32(0)
    if (8 + count * 16 > request.bodyLength) throw new FilesystemError(Errno.EINVAL)
    for (let at = 8; at < 8 + count * 16; at += 16) {
      this.#filesystem.forget(request.u64Clamped(at), request.u64Clamped(at + 8))
    }
    return undefined
  }

  #xattr(request: FuseRequest, value: Uint8Array | undefined): void {
    if (value === undefined) throw new FilesystemError(Errno.ENOSYS)
    const size = request.u32(0)
    if (size === 0) {
      this.#send(this.#begin(request).u32(value.length).u32(0))
      return
    }
    if (value.length > size) throw new FilesystemError(Errno.ERANGE)
    this.#send(this.#begin(request), [value])
  }

  #statfs(request: FuseRequest): undefined {
    this.#send(this.#begin(request).zeros(40).u32(512).u32(255).u32(512).u32(0).zeros(24))
    return undefined
  }

  #lseek(request: FuseRequest): undefined {
    const whence = request.u32(16)
    if (whence !== SEEK_DATA && whence !== SEEK_HOLE) throw new FilesystemError(Errno.EINVAL)
    const what = whence === SEEK_DATA ? 'data' : 'hole'
    this.#send(this.#begin(request).u64(this.#filesystem.seek(request.node, request.u64(8), what)))
    return undefined
  }

  #done(request: FuseRequest): undefined {
    this.#send(this.#begin(request))
    return undefined
  }

  /** Answers with what is known at once, or once it is known. */
  #answer<T>(
    request: FuseRequest,
    work: (options: { readonly signal: AbortSignal } | undefined) => T | Promise<T>,
    reply: (value: T) => void,
  ): Promise<void> | undefined {
    const lazy = new LazySignal()
    const value = work(lazy)
    if (!(value instanceof Promise)) {
      reply(value)
      return undefined
    }
    this.#waiting.set(request.unique, lazy.controller)
    return value.then(reply)
  }

  #wait(request: FuseRequest, waiting: Promise<void>): void {
    waiting
      .catch((error: unknown) => this.#fail(request, error))
      .finally(() => this.#waiting.delete(request.unique))
  }

  #begin({ uniqueLow, uniqueHigh }: FuseRequest): ReplyWriter {
    return this.#reply.begin(uniqueLow, uniqueHigh)
  }

  #send(reply: ReplyWriter, body: readonly Uint8Array[] = []): boolean {
    let length = 0
    for (const piece of body) length += piece.length
    if (length > COPIED) return this.#transport.send(reply.finish(length), body)
    // To send pieces costs more than to copy a few bytes.
    for (const piece of body) reply.bytes(piece)
    return this.#transport.send(reply.finish())
  }

  #fail(request: FuseRequest, error: unknown): void {
    if (!(error instanceof FilesystemError)) this.#options.onFault?.(error)
    // Nobody waits for the answer to these.
    if ([Opcode.FORGET, Opcode.BATCH_FORGET, Opcode.INTERRUPT].some((opcode) => opcode === request.opcode)) {
      return
    }
    const errno = error instanceof FilesystemError ? error.errno : Errno.EIO
    try {
      this.#transport.send(this.#reply.error(request.uniqueLow, request.uniqueHigh, errno))
    } catch (fault) {
      this.#options.onFault?.(fault)
    }
  }
}

/** Options with a signal that is made when somebody looks at it: what is answered at once needs none. */
class LazySignal {
  #controller: AbortController | undefined

  get controller(): AbortController {
    this.#controller ??= new AbortController()
    return this.#controller
  }

  get signal(): AbortSignal {
    return this.controller.signal
  }
}
