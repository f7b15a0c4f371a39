import {
  B3Digest,
  Directory,
  type DirectoryEntry,
  type DirectoryNode,
  type DirectorySizes,
  type Node,
  PathComponent,
} from '@neve/castore-model'
import type { DirectoryPutter } from '../directory-service.js'

/** Builds directories bottom-up from steps in NAR order and hands each to a putter. */
export class TreeAssembler {
  readonly #putter: () => DirectoryPutter
  readonly #sizes: DirectorySizes
  readonly #open: { readonly name: Uint8Array; readonly entries: DirectoryEntry[] }[] = []
  #root: Node | undefined
  directories = 0

  constructor(putter: () => DirectoryPutter, sizes: DirectorySizes) {
    this.#putter = putter
    this.#sizes = sizes
  }

  /** The root, once everything was left. */
  get root(): Node | undefined {
    return this.#open.length === 0 ? this.#root : undefined
  }

  enter(name: Uint8Array): void {
    this.#open.push({ name, entries: [] })
  }

  /** Adds a file or symlink to the folder that is open, or makes it the root. */
  add(name: Uint8Array, node: Node): void {
    const folder = this.#open.at(-1)
    if (folder === undefined) this.#root = node
    else folder.entries.push({ name: PathComponent.adopt(name), node })
  }

  /** Closes the open folder. */
  async leave(): Promise<void> {
    const folder = this.#open.pop()
    if (folder === undefined) throw new Error('left a folder that was not entered')
    const directory = Directory.fromEntries(folder.entries)
    this.directories++
    await this.#putter().put(directory)
    const node: DirectoryNode = directory.toNode(this.#sizes)
    this.add(folder.name, node)
  }
}

/** A file's node. */
export function fileNode(digest: Uint8Array, size: number, executable: boolean): Node {
  return { kind: 'file', digest: B3Digest.adopt(digest), size: BigInt(size), executable }
}
