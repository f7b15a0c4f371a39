import {
  type B3Digest,
  type Directory,
  type DirectoryNode,
  type FileNode,
  type Node,
  sizeAccepted,
} from '@neve/castore-model'
import { type CallOptions, CastoreError } from '@neve/castore-services'
import { DigestSet } from '@neve/castore-services/gc'
import type { StorePath } from '@neve/nix-compat'
import type { PushSource } from '../push/push-closure.js'
import { checkBlob, faultOf } from './check-blob.js'
import type { Damage, Fault } from './damage.js'
import type { QuickTree } from './quick-tree.js'
import type { Repair } from './repair.js'
import type { SoundDigests } from './sound-digests.js'

/** A file, and where it is. */
export interface PlacedFile {
  readonly file: FileNode
  readonly path: Uint8Array
}

interface Open {
  readonly directory: Directory
  readonly path: Uint8Array
  next: number
}

const SLASH = Uint8Array.of(0x2f)

/** What a {@link TreeCheck} is about: nothing of it is known of content that no store path has. */
export interface CheckedTree {
  readonly storePath: StorePath | undefined
  readonly node: Node | undefined
}

/** Checks one tree: every directory and blob below a root, each once; or what belongs to none. */
export class TreeCheck {
  readonly damages: Damage[] = []
  directories = 0
  blobs = 0
  bytes = 0
  /** Where to look. */
  #source: PushSource
  readonly #store: PushSource
  readonly #storePath: StorePath | undefined
  readonly #root: Node | undefined
  readonly #known: SoundDigests
  readonly #again: QuickTree['again'] | undefined
  readonly #repair: Repair | undefined
  readonly #mark: (fault: Fault) => Promise<boolean>
  readonly #seenBlobs = new DigestSet()
  /** Those of which nothing but what is below them can be wrong any more are among them. */
  readonly #seenDirectories = new DigestSet()
  #closure: Promise<ReadonlyMap<string, Directory>> | undefined

  /**
   * @param source the same as `store`, as who only looks sees it
   * @param store what is mended
   */
  constructor(
    source: PushSource,
    store: PushSource,
    { storePath, node }: CheckedTree,
    known: SoundDigests,
    repair: Repair | undefined,
    mark: (fault: Fault) => Promise<boolean>,
    again?: QuickTree['again'],
  ) {
    this.#source = source
    this.#store = store
    this.#storePath = storePath
    this.#root = node
    this.#known = known
    this.#repair = repair
    this.#mark = mark
    this.#again = again
  }

  /** Walks the directories, and gives the files to be checked: depth first, in order of names. */
  async *files(options: CallOptions): AsyncGenerator<PlacedFile, void, undefined> {
    const open: Open[] = []
    const enter = async (node: Node, path: Uint8Array): Promise<FileNode | undefined> => {
      if (node.kind === 'symlink') return undefined
      if (!this.#enters(node)) return undefined
      if (node.kind === 'file') return node
      const directory = await this.directory(node.digest, path, options)
      if (directory === undefined) return undefined
      if (!sizeAccepted(node.size, directory)) {
        const detail = `directory ${node.digest} has size ${directory.size()}, its node says ${node.size}`
        await this.damage({ kind: 'wrong-size', digest: node.digest, detail }, path, false)
      }
      open.push({ directory, path, next: 0 })
      return undefined
    }
    const nothing = new Uint8Array(0)
    const root = this.#root && (await enter(this.#root, nothing))
    if (root !== undefined) yield { file: root, path: nothing }
    for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
      const entry = top.directory.entries[top.next++]
      if (entry === undefined) {
        open.pop()
        continue
      }
      const parts = top.path.length === 0 ? [entry.name.bytes] : [top.path, SLASH, entry.name.bytes]
      const path = new Uint8Array(Buffer.concat(parts))
      const file = await enter(entry.node, path)
      if (file !== undefined) yield { file, path }
    }
  }

  /** Whether a node is to be looked at: not again, nor what others found to be sound. */
  #enters({ kind, digest: { bytes } }: FileNode | DirectoryNode): boolean {
    const known = kind === 'file' ? this.#known.blobs : this.#known.directories
    const again = kind === 'file' ? this.#again?.blobs : this.#again?.directories
    if (known.has(bytes) && again?.has(bytes) !== true) return false
    return (kind === 'file' ? this.#seenBlobs : this.#seenDirectories).add(bytes)
  }

  /** Checks one of them, a second time where anything seems wrong; mends it if that is wanted. */
  async blob({ file, path }: PlacedFile, options: CallOptions): Promise<void> {
    const { blobs } = this.#source
    this.blobs++
    this.bytes += Number(file.size)
    let faults = await checkBlob(blobs, file, options)
    if (faults.length > 0) faults = await checkBlob(blobs, file, options)
    if (faults.length === 0) {
      this.#known.addBlob(file.digest.bytes)
      return
    }
    const stored = await this.#repair?.blob(file, this.#storePath, options)
    // Who has stored it knows best what is there now.
    if (stored === true) this.#source = this.#store
    const left = stored === true ? await checkBlob(this.#source.blobs, file, options) : faults
    const isLeft = (fault: Fault): boolean =>
      left.some(({ kind, digest }) => kind === fault.kind && digest?.key === fault.digest?.key)
    for (const fault of faults) await this.damage(fault, path, !isLeft(fault))
  }

  /** To be called after the last file, when nothing is damaged. */
  rememberDirectories(): void {
    this.#known.addDirectories(this.#seenDirectories)
  }

  /** Checks one directory, without what is below it; mends it if that is wanted. */
  async directory(digest: B3Digest, path: Uint8Array, options: CallOptions): Promise<Directory | undefined> {
    let found = await this.#look(digest, options)
    if ('kind' in found) found = await this.#look(digest, options)
    if (!('kind' in found)) {
      this.directories++
      return found
    }
    const fault = found
    const root = this.#root?.kind === 'directory' ? this.#root.digest : digest
    this.#closure = undefined
    const stored = await this.#repair?.directory(digest, root, this.#storePath, options)
    if (stored === true) {
      this.#source = this.#store
      found = await this.#look(digest, options)
    }
    await this.damage(fault, path, !('kind' in found))
    if ('kind' in found) return undefined
    this.directories++
    return found
  }

  async #look(digest: B3Digest, options: CallOptions): Promise<Directory | Fault> {
    try {
      const directory =
        (await this.#source.directories.get(digest, options)) ?? (await this.#fromClosure(digest, options))
      if (directory === undefined) {
        return { kind: 'directory-missing', digest, detail: `directory ${digest} does not exist` }
      }
      if (directory.digest().equals(digest)) return directory
      const detail = `what is stored as directory ${digest} is ${directory.digest()}`
      return { kind: 'directory-damaged', digest, detail }
    } catch (error) {
      return faultOf(error, 'directory-damaged', digest)
    }
  }

  /** A service may know the roots of uploads only (spec 03 section 11). */
  async #fromClosure(digest: B3Digest, options: CallOptions): Promise<Directory | undefined> {
    const root = this.#root
    if (root?.kind !== 'directory' || root.digest.equals(digest)) return undefined
    if (this.#source.directories.putsSingly === true) return undefined
    this.#closure ??= this.#readClosure(root.digest, options)
    return (await this.#closure).get(digest.key)
  }

  async #readClosure(root: B3Digest, options: CallOptions): Promise<ReadonlyMap<string, Directory>> {
    const closure = new Map<string, Directory>()
    try {
      for await (const directory of this.#source.directories.getRecursive(root, options)) {
        closure.set(directory.digest().key, directory)
      }
    } catch (error) {
      // What came before is good.
      if (!(error instanceof CastoreError) || error.code !== 'data-loss') throw error
    }
    return closure
  }

  /** Takes note of damage, and marks it if that is wanted. */
  async damage(fault: Fault, path: Uint8Array, repaired: boolean): Promise<void> {
    const marked = !repaired && (await this.#mark(fault))
    this.damages.push({ ...fault, storePath: this.#storePath, path, repaired, marked })
  }
}
