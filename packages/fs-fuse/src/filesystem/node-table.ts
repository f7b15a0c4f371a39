import type { B3Digest, DirectoryEntry, PathComponent } from '@neve/castore-model'
import { Errno, FilesystemError } from '../errno.js'

/** The number of a mount's root, by the protocol. */
export const ROOT_NODE = 1

/** A node's number is that of its folder times this, and its place in it: so directories have at most 4 million entries. */
const FOLDER_SPAN = 2 ** 22

/** The entries of one directory at one path: its nodes, and how often the kernel was told of each. */
export interface Folder {
  /** The number of its first node. */
  readonly base: number
  /** The node of the directory itself; {@link ROOT_NODE} for what stands in the root. */
  readonly parent: number
  readonly entries: readonly DirectoryEntry[]
  /** The digest of the directory; undefined for what stands in the root. */
  readonly digest: B3Digest | undefined
}

interface TrackedFolder extends Folder {
  /** How often the kernel was told of each entry and has not forgotten it, made when first needed. */
  counts: Uint32Array | undefined
  /** The sum of {@link counts}. */
  known: number
}

/**
 * The inode tracker: which numbers the kernel knows, and what they stand for (spec 05 sections 3 and 11.6). A number stands
 * for a place in the tree: equal directories at two paths are two nodes, or else the kernel would move the one it knows
 * (spec 05 section 12, 1). The nodes of one directory have numbers in a row, so that nothing has to be kept for each.
 * What the kernel has forgotten is dropped; no number is used twice.
 */
export class NodeTable {
  #next = FOLDER_SPAN
  readonly #folders = new Map<number, TrackedFolder>()
  /** The folders of directories that were looked into, by the directory's node. */
  readonly #inside = new Map<number, TrackedFolder>()
  /** What stands in the root and is known, by name. */
  readonly #roots = new Map<string, TrackedFolder>()
  /** Nodes that the kernel knows, the root not counted. */
  #size = 0

  /** How many nodes the kernel knows, the root not counted. */
  get size(): number {
    return this.#size
  }

  /** How many directories are kept in memory, and how many names of the root. */
  get folderCount(): number {
    return this.#folders.size
  }

  /** The entry that a number stands for, or undefined: for the root, too. */
  get(node: number): DirectoryEntry | undefined {
    const folder = this.#folderOf(node)
    return folder?.entries[node - folder.base]
  }

  /**
   * The entry that a number stands for.
   *
   * @throws FilesystemError ESTALE when the number is unknown
   */
  expect(node: number): DirectoryEntry {
    const entry = this.get(node)
    if (entry === undefined) throw new FilesystemError(Errno.ESTALE)
    return entry
  }

  /** The node of the directory that a node stands in. */
  parent(node: number): number | undefined {
    return node === ROOT_NODE ? ROOT_NODE : this.#folderOf(node)?.parent
  }

  /** The name in the root that a node stands below, or has; undefined for the root, and for what is unknown. */
  rootName(node: number): PathComponent | undefined {
    for (let at = node; at !== ROOT_NODE; ) {
      const folder = this.#folderOf(at)
      if (folder === undefined) return undefined
      if (folder.parent === ROOT_NODE) return folder.entries[at - folder.base]?.name
      at = folder.parent
    }
    return undefined
  }

  /** What is known to be in a directory. */
  inside(directory: number): Folder | undefined {
    return this.#inside.get(directory)
  }

  /** Takes note of what is in a directory, unless that is known. */
  enter(directory: number, digest: B3Digest, entries: readonly DirectoryEntry[]): Folder {
    const known = this.#inside.get(directory)
    if (known !== undefined) return known
    if (entries.length > FOLDER_SPAN) throw new FilesystemError(Errno.EFBIG)
    const folder = this.#add(directory, digest, entries)
    this.#inside.set(directory, folder)
    return folder
  }

  /** What stands in the root under a name, if the kernel was told of it. */
  root(key: string): Folder | undefined {
    return this.#roots.get(key)
  }

  /** Takes note of something in the root, unless its name is known. It stays for as long as the kernel knows it. */
  enterRoot(entry: DirectoryEntry): Folder {
    const known = this.#roots.get(entry.name.key)
    if (known !== undefined) return known
    const folder = this.#add(ROOT_NODE, undefined, [entry])
    this.#roots.set(entry.name.key, folder)
    return folder
  }

  /** Counts that the kernel is told of an entry. @returns its node */
  remember({ base }: Folder, index: number): number {
    const folder = this.#folders.get(base)
    if (folder === undefined) throw new FilesystemError(Errno.ESTALE)
    folder.counts ??= new Uint32Array(folder.entries.length)
    if (folder.counts[index]!++ === 0) this.#size += 1
    folder.known += 1
    return base + index
  }

  /** As {@link remember}, for a node that is known. */
  rememberAgain(node: number): void {
    const folder = this.#folderOf(node)
    if (folder !== undefined) this.remember(folder, node - folder.base)
  }

  /** Takes back that the kernel was told of a node `times` times. Unknown numbers are passed over. */
  forget(node: number, times: number): void {
    const folder = this.#folderOf(node)
    if (folder?.counts === undefined) return
    const index = node - folder.base
    const count = folder.counts[index] ?? 0
    const taken = Math.min(count, times)
    if (taken === 0) return
    folder.counts[index] = count - taken
    folder.known -= taken
    if (taken < count) return
    this.#size -= 1
    const inside = this.#inside.get(node)
    if (inside !== undefined) this.#dropUnneeded(inside)
    this.#dropUnneeded(folder)
  }

  /** Names from the root down to a node, for people. */
  path(node: number): string {
    const names: string[] = []
    for (let at = node; at !== ROOT_NODE; ) {
      const entry = this.get(at)
      if (entry === undefined) return names.length === 0 ? `node ${node}` : `…/${names.join('/')}`
      names.unshift(String(entry.name))
      at = this.parent(at)!
    }
    return `/${names.join('/')}`
  }

  #add(parent: number, digest: B3Digest | undefined, entries: readonly DirectoryEntry[]): TrackedFolder {
    const folder = { base: this.#next, parent, entries, digest, counts: undefined, known: 0 }
    this.#next += FOLDER_SPAN
    this.#folders.set(folder.base, folder)
    return folder
  }

  #folderOf(node: number): TrackedFolder | undefined {
    return this.#folders.get(node - (node % FOLDER_SPAN))
  }

  /** A folder is needed while the kernel knows the directory, or something in it. */
  #dropUnneeded(folder: TrackedFolder): void {
    if (folder.known > 0) return
    if (folder.digest === undefined) this.#roots.delete(folder.entries[0]!.name.key)
    else {
      if (this.#isKnown(folder.parent)) return
      this.#inside.delete(folder.parent)
    }
    this.#folders.delete(folder.base)
  }

  #isKnown(node: number): boolean {
    const folder = this.#folderOf(node)
    return folder?.counts !== undefined && folder.counts[node - folder.base]! > 0
  }
}
