import {
  B3Digest,
  Directory,
  type DirectorySizes,
  decodeAnonymousNode,
  encodeNode,
  type Node,
} from '@neve/castore-model'
import type { DirectoryPutter } from '../directory-service.js'

/** A directory lists its directories, then its files, then its symlinks, each in order of names. */
interface OpenFolder {
  readonly name: Uint8Array
  readonly directory: Uint8Array[]
  readonly file: Uint8Array[]
  readonly symlink: Uint8Array[]
}

/** Builds directories bottom-up from steps in NAR order and hands each to a putter. */
export class TreeAssembler {
  readonly #putter: () => DirectoryPutter
  readonly #sizes: DirectorySizes
  readonly #open: OpenFolder[] = []
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
    this.#open.push({ name, directory: [], file: [], symlink: [] })
  }

  /** Adds an entry to the folder that is open, or makes it the root. */
  add(name: Uint8Array, node: Node): void {
    const folder = this.#open.at(-1)
    if (folder === undefined) this.#root = node
    else folder[node.kind].push(encodeNode(name, node))
  }

  /**
   * Adds files to the folder that is open, by their elements in its encoding, which are kept until it is left; or makes
   * the only one, without a name, the root.
   */
  addFiles(elements: Uint8Array): void {
    const folder = this.#open.at(-1)
    if (folder === undefined) this.#root = decodeAnonymousNode(elements)
    else folder.file.push(elements)
  }

  /** Closes the open folder. */
  async leave(): Promise<void> {
    const folder = this.#open.pop()
    if (folder === undefined) throw new Error('left a folder that was not entered')
    const encoded = Buffer.concat([...folder.directory, ...folder.file, ...folder.symlink])
    const directory = Directory.decode(encoded)
    this.directories++
    await this.#putter().put(directory)
    this.add(folder.name, directory.toNode(this.#sizes))
  }
}

/** A file's node. */
export function fileNode(digest: Uint8Array, size: number, executable: boolean): Node {
  return { kind: 'file', digest: B3Digest.adopt(digest), size: BigInt(size), executable }
}
