import { B3Digest, Directory, type Node } from '@neve/castore-model'
import type { EmbeddedStore } from '@neve/embedded-store'
import { decodeChunkList, engineError, engineOf } from '../blob/embedded.js'
import type { CallOptions } from '../call-options.js'
import { EmbeddedDirectoryService } from '../directory/embedded.js'
import type { CopyServices } from './copy-closure.js'

/** Directories that are looked through before others get a turn. */
const DIRECTORIES_A_TURN = 256

interface Open {
  readonly key: string
  readonly children: Iterator<B3Digest>
}

/**
 * Tells whether everything below a root is in an embedded store: its tables are asked for each directory, blob and chunk,
 * once for all roots. What is stored is not read, so damage does not show.
 *
 * It takes nobody's word for it. Not every store keeps the order of DESIGN decision 10: the near side of a cache has
 * directories, and even path infos, whose blobs nobody asked for yet.
 */
export class WholeClosures {
  readonly #engine: EmbeddedStore
  readonly #whole = new Set<string>()
  readonly #lacking = new Set<string>()
  #looked = 0

  constructor(engine: EmbeddedStore) {
    this.#engine = engine
  }

  /** For services of one embedded store; undefined for others. */
  static of({ blobs, directories }: CopyServices): WholeClosures | undefined {
    const engine = engineOf(blobs)
    const shared = directories instanceof EmbeddedDirectoryService && directories.engine === engine
    return shared && engine !== undefined ? new WholeClosures(engine) : undefined
  }

  /** Whether the store has the node and everything below it. */
  async has(node: Node, options: CallOptions = {}): Promise<boolean> {
    try {
      if (node.kind === 'directory') return await this.#hasDirectory(node.digest, options)
      return node.kind === 'symlink' || this.#hasBlob(node.digest)
    } catch (error) {
      throw engineError(error, undefined, `embedded:${this.#engine.path}`)
    }
  }

  async #hasDirectory(root: B3Digest, { signal }: CallOptions): Promise<boolean> {
    const open: Open[] = []
    const enter = (digest: B3Digest): boolean => {
      if (this.#whole.has(digest.key)) return true
      const children = this.#lacking.has(digest.key) ? undefined : this.#childrenOf(digest)
      if (children === undefined) {
        for (const { key } of [...open, digest]) this.#lacking.add(key)
        return false
      }
      open.push({ key: digest.key, children: children.values() })
      return true
    }
    if (!enter(root)) return false
    for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
      const child = top.children.next()
      if (child.done === true) {
        this.#whole.add(top.key)
        open.pop()
      } else if (!enter(child.value)) return false
      if (++this.#looked % DIRECTORIES_A_TURN === 0) {
        await new Promise((resolve) => setImmediate(resolve))
        signal?.throwIfAborted()
      }
    }
    return true
  }

  /** The directories in a directory; undefined when it, or a blob in it, is not there. */
  #childrenOf(digest: B3Digest): B3Digest[] | undefined {
    if (this.#engine.isCondemned('directories', digest.bytes)) return undefined
    const encoded = this.#engine.get('directories', digest.bytes)
    if (encoded === undefined) return undefined
    let entries: Directory['entries']
    try {
      entries = Directory.decode(encoded).entries
    } catch {
      return undefined
    }
    const children: B3Digest[] = []
    for (const { node } of entries) {
      if (node.kind === 'directory') children.push(node.digest)
      else if (node.kind === 'file' && !this.#hasBlob(node.digest)) return undefined
    }
    return children
  }

  #hasBlob(digest: B3Digest): boolean {
    const engine = this.#engine
    if (digest.equals(B3Digest.EMPTY) || engine.keeps('content', digest.bytes)) return true
    if (engine.isCondemned('blobs', digest.bytes)) return false
    const list = engine.get('blobs', digest.bytes)
    if (list === undefined) return false
    try {
      const chunks = decodeChunkList(digest, list, engine.path)
      return chunks.every((chunk) => engine.keeps('content', chunk.digest.bytes))
    } catch {
      return false
    }
  }
}
