import type { Directory, Node } from '@neve/castore-model'
import { type CallOptions, type DirectoryService, SingleFlight } from '@neve/castore-services'
import { narDirectorySize, narEntrySize, narFileSize, narSymlinkSize } from '@neve/nar'
import { StoreError } from './errors.js'

/** A directory whose archive's size is not known yet. */
interface Unsized {
  /** Bytes of its entries, without the archives of child directories. */
  readonly own: bigint
  /** The keys of its child directories' digests. */
  readonly children: readonly string[]
}

/**
 * Where things stand in the NAR of a node (spec 07 section 13.8), known from directories alone: the size that each
 * directory's archive has. Equal directories have equal archives, so it holds one number for each different directory,
 * whatever the number of files; positions follow from these on the way down.
 */
export class NarLayout {
  /** Length of the NAR in bytes. */
  readonly size: bigint
  /** By the key of the directory's digest. */
  readonly #sizes: ReadonlyMap<string, bigint>

  private constructor(root: Node, sizes: ReadonlyMap<string, bigint>) {
    this.#sizes = sizes
    this.size = this.archiveSize(root)
  }

  /**
   * Reads every directory below a node, each once.
   *
   * @throws StoreError `directory-not-found` when the root is not stored; DataLossError when one below it is damaged
   *   or not stored
   */
  static async of(
    directories: Pick<DirectoryService, 'getRecursive'>,
    root: Node,
    { signal }: CallOptions = {},
  ): Promise<NarLayout> {
    if (root.kind !== 'directory') return new NarLayout(root, new Map())
    const unsized = new Map<string, Unsized>()
    for await (const directory of directories.getRecursive(root.digest, { signal })) {
      unsized.set(directory.digest().key, measureEntries(directory))
    }
    if (!unsized.has(root.digest.key)) {
      throw new StoreError('directory-not-found', `directory ${root.digest} of the root is not in the store`)
    }
    return new NarLayout(root, sizeAll(unsized, root.digest.key))
  }

  /** How many different directories there are: what the layout takes of memory is in proportion. */
  get directories(): number {
    return this.#sizes.size
  }

  /** Length in bytes of the archive that a node of this tree would make alone. */
  archiveSize(node: Node): bigint {
    if (node.kind === 'file') return narFileSize(node.size, node.executable)
    if (node.kind === 'symlink') return narSymlinkSize(node.target.bytes.length)
    const size = this.#sizes.get(node.digest.key)
    if (size === undefined)
      throw new StoreError('directory-not-found', `directory ${node.digest} is not in the tree`)
    return size
  }
}

function measureEntries(directory: Directory): Unsized {
  let own = 0n
  const children: string[] = []
  for (const { name, node } of directory.entries) {
    const { length } = name.bytes
    if (node.kind === 'directory') {
      own += narEntrySize(length, 0n)
      children.push(node.digest.key)
    } else if (node.kind === 'file') {
      own += narEntrySize(length, narFileSize(node.size, node.executable))
    } else {
      own += narEntrySize(length, narSymlinkSize(node.target.bytes.length))
    }
  }
  return { own, children }
}

/** Sizes of all directories, children before their parents, without recursion: a tree may be as deep as it likes. */
function sizeAll(unsized: ReadonlyMap<string, Unsized>, root: string): ReadonlyMap<string, bigint> {
  const sizes = new Map<string, bigint>()
  const open = [{ key: root, next: 0 }]
  for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
    const { own, children } = unsized.get(top.key)!
    const child = children[top.next]
    if (child === undefined) {
      sizes.set(top.key, narDirectorySize(children.reduce((sum, key) => sum + sizes.get(key)!, own)))
      open.pop()
    } else {
      top.next++
      if (!sizes.has(child)) open.push({ key: child, next: 0 })
    }
  }
  return sizes
}

/** How many directories the layouts that are kept may have together: about 150 bytes each. */
const KEPT_DIRECTORIES = 200_000

/** Layouts of the trees that were asked for last. Whoever asks for one that is being made waits for it. */
export class NarLayouts {
  readonly #kept = new Map<string, NarLayout>()
  readonly #flights = new SingleFlight<string, NarLayout>()
  readonly #capacity: number
  #directories = 0

  /** @param capacity directories of all layouts together. Default: 200,000 */
  constructor(capacity: number = KEPT_DIRECTORIES) {
    this.#capacity = capacity
  }

  /** @throws as {@link NarLayout.of} */
  async of(
    directories: Pick<DirectoryService, 'getRecursive'>,
    root: Node,
    { signal }: CallOptions = {},
  ): Promise<NarLayout> {
    if (root.kind !== 'directory') return await NarLayout.of(directories, root)
    const { key } = root.digest
    let layout = this.#kept.get(key)
    if (layout === undefined) {
      layout = await this.#flights.run(key, (stop) => NarLayout.of(directories, root, { signal: stop }), {
        signal,
      })
    }
    this.#keep(key, layout)
    return layout
  }

  /** Puts a layout behind the others, and drops those from the front for which there is no room. */
  #keep(key: string, layout: NarLayout): void {
    if (this.#kept.delete(key)) this.#directories -= layout.directories
    this.#kept.set(key, layout)
    this.#directories += layout.directories
    for (const [oldest, { directories }] of this.#kept) {
      if (this.#directories <= this.#capacity) return
      this.#kept.delete(oldest)
      this.#directories -= directories
    }
  }
}
