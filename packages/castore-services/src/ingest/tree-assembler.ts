import {
  B3Digest,
  DirectoryError,
  type DirectorySizes,
  decodeAnonymousNode,
  directorySize,
  encodeNode,
  MAX_DIRECTORY_BYTES,
  type Node,
} from '@neve/castore-model'

/** Stores a directory by its canonical encoding, which belongs to it from now on; gives its digest. */
export type PutEncoded = (encoded: Uint8Array) => B3Digest | Promise<B3Digest>

/** A directory lists its directories, then its files, then its symlinks, each in order of names. */
interface OpenFolder {
  readonly name: Uint8Array
  readonly directory: Uint8Array[]
  readonly file: Uint8Array[]
  readonly symlink: Uint8Array[]
  entries: number
  /** The sizes of its directories, added up. */
  childSizes: bigint
}

/** Builds directories bottom-up from steps in NAR order and has each stored. */
export class TreeAssembler {
  readonly #put: PutEncoded
  readonly #sizes: DirectorySizes
  readonly #open: OpenFolder[] = []
  #root: Node | undefined
  directories = 0

  constructor(put: PutEncoded, sizes: DirectorySizes) {
    this.#put = put
    this.#sizes = sizes
  }

  /** The root, once everything was left. */
  get root(): Node | undefined {
    return this.#open.length === 0 ? this.#root : undefined
  }

  enter(name: Uint8Array): void {
    this.#open.push({ name, directory: [], file: [], symlink: [], entries: 0, childSizes: 0n })
  }

  /** Adds an entry to the folder that is open, or makes it the root. */
  add(name: Uint8Array, node: Node): void {
    const folder = this.#open.at(-1)
    if (folder === undefined) {
      this.#root = node
      return
    }
    folder[node.kind].push(encodeNode(name, node))
    folder.entries++
    if (node.kind === 'directory') folder.childSizes += node.size
  }

  /**
   * Adds so many files to the folder that is open, by their elements in its encoding, which are kept until it is left; or
   * makes the only one, without a name, the root.
   */
  addFiles(elements: Uint8Array, count: number): void {
    const folder = this.#open.at(-1)
    if (folder === undefined) {
      this.#root = decodeAnonymousNode(elements)
      return
    }
    folder.file.push(elements)
    folder.entries += count
  }

  /** Closes the open folder. */
  async leave(): Promise<void> {
    const folder = this.#open.pop()
    if (folder === undefined) throw new Error('left a folder that was not entered')
    const encoded = Buffer.concat([...folder.directory, ...folder.file, ...folder.symlink])
    if (encoded.length > MAX_DIRECTORY_BYTES) {
      throw new DirectoryError('TooLarge', { actual: encoded.length, expected: MAX_DIRECTORY_BYTES })
    }
    const size = directorySize(folder.entries, folder.childSizes, this.#sizes)
    this.directories++
    const digest = await this.#put(encoded)
    this.add(folder.name, { kind: 'directory', digest, size })
  }
}

/** A file's node. */
export function fileNode(digest: Uint8Array, size: number, executable: boolean): Node {
  return { kind: 'file', digest: B3Digest.adopt(digest), size: BigInt(size), executable }
}
