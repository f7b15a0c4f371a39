import { MAX_NAME_LENGTH, type Node, PathComponent } from '@neve/castore-model'
import type { CallOptions } from '@neve/castore-services'
import type { Content, FileContent, ReadTicket } from '../content.js'
import { Errno, FilesystemError } from '../errno.js'
import { attempt, chain, type MaybePromise } from '../maybe-promise.js'
import type { RootEntry, RootNodes } from '../root-nodes.js'
import { type Attributes, attributesOf, type Owner, rootAttributes } from './attributes.js'
import { type AttributePrefix, DigestAttributes } from './extended-attributes.js'
import { findEntry } from './find-entry.js'
import { type Folder, NodeTable, ROOT_NODE } from './node-table.js'
import { RootListing } from './root-listing.js'

/** Trouble behind a request, which its caller sees as EIO only. */
export interface FilesystemTrouble {
  /** What was asked for: `lookup`, `readdir`, `open`, `read`. */
  readonly operation: string
  /** The path below the mount, escaped for people. */
  readonly path: string
  /** What the services threw; it names the digest, if there is one. */
  readonly error: unknown
}

/** What a {@link CastoreFilesystem} shows, and how. */
export interface CastoreFilesystemInit {
  readonly roots: RootNodes
  readonly content: Content
  /** Whether the root may be listed. Default: false; names in it can be reached all the same. */
  readonly listRoot?: boolean | undefined
  /** Whether digests are shown as extended attributes (spec 05 section 6). Default: false. */
  readonly showXattr?: boolean | undefined
  /** The names of those attributes: `user.<prefix>.castore.…`. Default: `neve`, `tvix` and `snix`. */
  readonly xattrPrefixes?: readonly AttributePrefix[] | undefined
  /** Whom everything belongs to. Default: user 0 and group 0. */
  readonly owner?: Owner | undefined
  /** Hears of trouble, once for each path and cause. */
  readonly onTrouble?: ((trouble: FilesystemTrouble) => void) | undefined
}

/** Something that was found: the kernel was told of its node once more. */
export interface FoundNode {
  readonly node: number
  readonly attributes: Attributes
}

/** One entry of a listing. */
export interface ListedEntry {
  readonly name: Uint8Array
  readonly attributes: Attributes
  /** Where to go on behind it. */
  readonly next: number
  /** Counts that the kernel is told of its node, and gives it. */
  readonly remember: () => number
}

interface OpenFile {
  readonly node: number
  readonly content: FileContent
  readonly onClose: (() => void) | undefined
}

const MAX_TROUBLES = 1000

/**
 * A read-only filesystem over castore services, for any protocol that has nodes and handles (spec 05 sections 3 to 6). What
 * is in memory is answered at once, without a promise; the same goes for whatever the content answers at once.
 *
 * Every method throws FilesystemError with the number that the request is to be answered with.
 */
export class CastoreFilesystem {
  /** What the kernel knows. */
  readonly nodes = new NodeTable()
  readonly #init: CastoreFilesystemInit
  readonly #owner: Owner
  readonly #root: Attributes
  readonly #xattrs: DigestAttributes | undefined
  readonly #files = new Map<number, OpenFile>()
  readonly #listings = new Map<number, RootListing>()
  readonly #troubles = new Set<string>()
  #lastHandle = 0

  constructor(init: CastoreFilesystemInit) {
    this.#init = init
    this.#owner = init.owner ?? { uid: 0, gid: 0 }
    this.#root = rootAttributes(this.#owner)
    if (init.showXattr === true) this.#xattrs = new DigestAttributes(init.xattrPrefixes)
  }

  /** Files and listings of the root that are open. */
  get openHandles(): number {
    return this.#files.size + this.#listings.size
  }

  /**
   * Finds a name in a directory, and counts that the kernel is told of it.
   *
   * @param name bytes, not kept
   * @returns undefined when it is not there; in a directory other than the root it never will be
   */
  lookup(parent: number, name: Uint8Array, options?: CallOptions): MaybePromise<FoundNode | undefined> {
    if (name.length > MAX_NAME_LENGTH) throw new FilesystemError(Errno.ENAMETOOLONG)
    if (parent === ROOT_NODE) return this.#lookupRoot(name, options)
    return chain(this.#enter(parent, 'lookup', options), (folder) => {
      const index = findEntry(folder.entries, name)
      return index < 0 ? undefined : this.#found(folder, index)
    })
  }

  /** As {@link lookup} of `.` and `..`, for handles of files that outlive what the kernel remembers. */
  lookupSelf(node: number): FoundNode {
    if (node === ROOT_NODE) return { node, attributes: this.#root }
    const { node: entry } = this.nodes.expect(node)
    this.nodes.rememberAgain(node)
    return { node, attributes: attributesOf(entry, this.#owner) }
  }

  forget(node: number, times: number): void {
    this.nodes.forget(node, times)
  }

  getattr(node: number): Attributes {
    return node === ROOT_NODE ? this.#root : attributesOf(this.nodes.expect(node).node, this.#owner)
  }

  /** The target of a link: not to be written to. */
  readlink(node: number): Uint8Array {
    const entry = this.#node(node)
    if (entry?.kind !== 'symlink') throw new FilesystemError(Errno.EINVAL)
    return entry.target.bytes
  }

  /** @returns a handle for {@link read}, which is to be released */
  open(node: number, options?: CallOptions): MaybePromise<number> {
    const file = this.#node(node)
    if (file === undefined || file.kind === 'directory') throw new FilesystemError(Errno.EISDIR)
    if (file.kind === 'symlink') throw new FilesystemError(Errno.ELOOP)
    const { digest, size } = file
    return attempt(
      () =>
        chain(this.#init.content.open(digest, size, options), (content) => {
          if (content === undefined) throw new Error(`blob ${digest} is missing`)
          const handle = ++this.#lastHandle
          this.#files.set(handle, { node, content, onClose: this.#opened(node) })
          return handle
        }),
      (error) => this.#trouble('open', node, error, options),
    )
  }

  /**
   * Reads from an open file: less than `length` bytes only where it ends. The pieces, and who answers, are as
   * {@link FileContent.readAt} has it.
   */
  read(
    node: number,
    handle: number,
    offset: number,
    length: number,
    options?: CallOptions,
    ticket?: ReadTicket,
  ): MaybePromise<readonly Uint8Array[] | undefined> {
    const file = this.#files.get(handle)
    if (file?.node !== node) throw new FilesystemError(Errno.EIO)
    return attempt(
      () => file.content.readAt(offset, length, options, ticket),
      (error) => this.#trouble('read', node, error, options),
    )
  }

  release(handle: number): void {
    const file = this.#files.get(handle)
    file?.content.close()
    file?.onClose?.()
    this.#files.delete(handle)
  }

  #opened(node: number): (() => void) | undefined {
    const { roots } = this.#init
    const name = roots.opened === undefined ? undefined : this.nodes.rootName(node)
    return name && roots.opened?.(name)
  }

  /**
   * Where data or a hole begins, from `offset` on: there are no holes but behind the end.
   *
   * @param what `data` or `hole`
   */
  seek(node: number, offset: number, what: 'data' | 'hole'): number {
    const { size } = this.getattr(node)
    if (offset >= size) throw new FilesystemError(Errno.ENXIO)
    return what === 'data' ? offset : size
  }

  /** @returns a handle for {@link readdir}: 0 for all but the root, which need none */
  opendir(node: number): number {
    if (node !== ROOT_NODE) {
      if (this.nodes.expect(node).node.kind !== 'directory') throw new FilesystemError(Errno.ENOTDIR)
      return 0
    }
    if (this.#init.listRoot !== true) throw new FilesystemError(Errno.EPERM)
    const handle = ++this.#lastHandle
    this.#listings.set(handle, new RootListing(() => this.#init.roots.list()))
    return handle
  }

  /**
   * Lists a directory from a place on: 0, or `next` of an entry that was listed.
   *
   * @param visit takes an entry; false when it has no room for it, which ends the call
   */
  readdir(
    node: number,
    handle: number,
    from: number,
    visit: (entry: ListedEntry) => boolean,
    options?: CallOptions,
  ): MaybePromise<void> {
    if (node === ROOT_NODE) return this.#readRoot(handle, from, visit, options)
    return chain(this.#enter(node, 'readdir', options), (folder) => {
      for (let index = from; index < folder.entries.length; index++) {
        const entry = folder.entries[index]!
        const taken = visit({
          name: entry.name.bytes,
          attributes: attributesOf(entry.node, this.#owner),
          next: index + 1,
          remember: () => this.nodes.remember(folder, index),
        })
        if (!taken) return
      }
    })
  }

  releasedir(handle: number): void {
    this.#listings.get(handle)?.close()
    this.#listings.delete(handle)
  }

  /** The value of an extended attribute; undefined where there are none at all. */
  getxattr(node: number, name: Uint8Array): Uint8Array | undefined {
    return this.#xattrs?.get(this.#node(node), name)
  }

  /** Names of extended attributes, each with a NUL behind it; undefined where there are none at all. */
  listxattr(node: number): Uint8Array | undefined {
    return this.#xattrs?.list(this.#node(node))
  }

  /** Lets go of everything that is open. */
  close(): void {
    for (const handle of this.#files.keys()) this.release(handle)
    for (const handle of this.#listings.keys()) this.releasedir(handle)
  }

  /** Undefined for the root. */
  #node(node: number): Node | undefined {
    return node === ROOT_NODE ? undefined : this.nodes.expect(node).node
  }

  #found(folder: Folder, index: number): FoundNode {
    const attributes = attributesOf(folder.entries[index]!.node, this.#owner)
    return { node: this.nodes.remember(folder, index), attributes }
  }

  #lookupRoot(bytes: Uint8Array, options: CallOptions | undefined): MaybePromise<FoundNode | undefined> {
    const name = componentOf(bytes)
    if (name === undefined) return undefined
    const known = this.nodes.root(name.key)
    if (known !== undefined) return this.#found(known, 0)
    return attempt(
      () =>
        chain(this.#init.roots.get(name, options), (node) =>
          node === undefined ? undefined : this.#found(this.nodes.enterRoot({ name, node }), 0),
        ),
      (error) => this.#trouble('lookup', ROOT_NODE, error, options, String(name)),
    )
  }

  /** What is in a directory, from its service if need be. */
  #enter(node: number, operation: string, options: CallOptions | undefined): MaybePromise<Folder> {
    const known = this.nodes.inside(node)
    if (known !== undefined) return known
    const directory = this.nodes.expect(node).node
    if (directory.kind !== 'directory') throw new FilesystemError(Errno.ENOTDIR)
    const { digest } = directory
    return attempt(
      () =>
        chain(this.#init.content.directory(digest, options), (content) => {
          if (content === undefined) throw new Error(`directory ${digest} is missing`)
          return this.nodes.enter(node, digest, content.entries)
        }),
      (error) => this.#trouble(operation, node, error, options),
    )
  }

  #readRoot(
    handle: number,
    from: number,
    visit: (entry: ListedEntry) => boolean,
    options: CallOptions | undefined,
  ): MaybePromise<void> {
    const listing = this.#listings.get(handle)
    if (listing === undefined) throw new FilesystemError(Errno.EIO)
    let index = from
    let turn: Promise<boolean> | undefined
    const list = (): MaybePromise<void> => {
      for (;;) {
        const next = listing.at(index)
        // What is there goes out before anything is waited for that takes longer than a turn of the event loop, as an
        // error comes after what was listed.
        if (next instanceof Promise) {
          if (index === from) return next.then(list)
          const come = next.then(
            () => true,
            () => true,
          )
          turn ??= new Promise((resolve) => setImmediate(resolve, false))
          return Promise.race([come, turn]).then((more) => (more ? list() : undefined))
        }
        if (next === undefined || !visit(this.#listedRoot(next, index + 1))) return undefined
        index += 1
      }
    }
    return attempt(list, (error) => {
      if (index > from) return undefined
      return this.#trouble('readdir', ROOT_NODE, error, options)
    })
  }

  #listedRoot({ name, node }: RootEntry, next: number): ListedEntry {
    const remember = () => this.nodes.remember(this.nodes.enterRoot({ name, node }), 0)
    return { name: name.bytes, attributes: attributesOf(node, this.#owner), next, remember }
  }

  /** Tells of trouble, unless it was told before. */
  #trouble(
    operation: string,
    node: number,
    error: unknown,
    options: CallOptions | undefined,
    name = '',
  ): never {
    if (options?.signal?.aborted) throw new FilesystemError(Errno.EINTR)
    if (error instanceof FilesystemError) throw error
    const path = `${this.nodes.path(node)}${name}`
    const key = `${operation} ${path} ${error instanceof Error ? error.message : String(error)}`
    if (!this.#troubles.has(key)) {
      if (this.#troubles.size >= MAX_TROUBLES) this.#troubles.clear()
      this.#troubles.add(key)
      this.#init.onTrouble?.({ operation, path, error })
    }
    throw new FilesystemError(Errno.EIO, { cause: error })
  }
}

function componentOf(bytes: Uint8Array): PathComponent | undefined {
  try {
    return PathComponent.from(bytes)
  } catch {
    return undefined
  }
}
