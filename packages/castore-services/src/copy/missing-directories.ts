import { type B3Digest, Directory, type FileNode, type Node } from '@neve/castore-model'
import type { CallOptions } from '../call-options.js'
import { mapOrdered } from '../concurrency/map-ordered.js'
import type { DirectoryService } from '../directory-service.js'
import { CastoreError, DataLossError } from '../errors.js'
import { absentRoot } from './root-node.js'
import type { WholeClosures } from './whole-closures.js'

interface Looked {
  readonly digest: B3Digest
  readonly directory: Directory
  readonly present: boolean
  /** Whether everything below it is at the target, too. */
  readonly whole: boolean
}

/** Finds the directories below a root that a target lacks, top-down, a level at a time. */
export class MissingDirectories {
  /** The encodings of those found so far, by the keys of their digests, parents before their children. */
  readonly missing = new Map<string, Uint8Array>()
  /** Keys of directories that the target has. */
  readonly present = new Set<string>()
  /** Whether there is nothing more to find. */
  complete = false
  readonly #from: DirectoryService
  readonly #to: Pick<DirectoryService, 'get'>
  readonly #concurrency: number
  readonly #thorough: boolean
  readonly #whole: WholeClosures | undefined
  /** What to look for files in; parallel to the walk, so that it never waits for contents. */
  readonly #unread: Uint8Array[] = []
  #wake: () => void = () => {}
  #ended = false
  #closure: Promise<ReadonlyMap<string, Directory>> | undefined

  constructor(
    { from, to }: { readonly from: DirectoryService; readonly to: Pick<DirectoryService, 'get'> },
    concurrency: number,
    thorough: boolean,
    whole?: WholeClosures,
  ) {
    this.#from = from
    this.#to = to
    this.#concurrency = concurrency
    this.#thorough = thorough
    this.#whole = whole
  }

  async run(root: Node, options: CallOptions): Promise<void> {
    try {
      if (root.kind === 'directory') await this.#levels(root.digest, options)
      this.complete = true
    } finally {
      this.#ended = true
      this.#wake()
    }
  }

  async #levels(root: B3Digest, options: CallOptions): Promise<void> {
    const seen = new Set([root.key])
    for (let level = [root]; level.length > 0; ) {
      const next: B3Digest[] = []
      const look = (digest: B3Digest, signal: AbortSignal): Promise<Looked> =>
        this.#look(digest, root, { signal })
      for await (const looked of mapOrdered(level, this.#concurrency, look, options)) {
        const { digest, directory, present, whole } = looked
        if (present) this.present.add(digest.key)
        else this.missing.set(digest.key, directory.encode())
        if (whole) continue
        this.#unread.push(directory.encode())
        this.#wake()
        for (const { node } of directory.directories()) {
          if (seen.has(node.digest.key)) continue
          seen.add(node.digest.key)
          next.push(node.digest)
        }
      }
      level = next
    }
  }

  async #look(digest: B3Digest, root: B3Digest, options: CallOptions): Promise<Looked> {
    const present = await this.#present(digest, options)
    if (present !== undefined) {
      const whole = !this.#thorough || (await this.#whole?.has(present.toNode(), options)) === true
      return { digest, directory: present, present: true, whole }
    }
    const directory =
      (await this.#from.get(digest, options)) ?? (await this.#fromClosure(digest, root, options))
    if (directory === undefined) {
      if (digest.equals(root)) throw absentRoot(digest)
      throw new DataLossError(digest, 'the source', `directory ${digest} does not exist`)
    }
    if (!directory.digest().equals(digest)) {
      const found = directory.digest()
      throw new DataLossError(digest, 'the source', `requested directory ${digest}, but got ${found}`)
    }
    return { digest, directory, present: false, whole: false }
  }

  /** A directory that the target has; one that is damaged there is as good as none: putting it heals it. */
  async #present(digest: B3Digest, options: CallOptions): Promise<Directory | undefined> {
    try {
      return await this.#to.get(digest, options)
    } catch (error) {
      if (error instanceof CastoreError && error.code === 'data-loss') return undefined
      throw error
    }
  }

  /** A source may know the roots of uploads only (spec 03 section 11): then the whole closure is read, once. */
  async #fromClosure(digest: B3Digest, root: B3Digest, options: CallOptions): Promise<Directory | undefined> {
    if (digest.equals(root)) return undefined
    this.#closure ??= this.#readClosure(root, options)
    return (await this.#closure).get(digest.key)
  }

  async #readClosure(root: B3Digest, options: CallOptions): Promise<ReadonlyMap<string, Directory>> {
    const closure = new Map<string, Directory>()
    for await (const directory of this.#from.getRecursive(root, options)) {
      closure.set(directory.digest().key, directory)
    }
    return closure
  }

  /** The files of the root, or of the directories found so far and to come. */
  async *files(root: Node): AsyncGenerator<FileNode, void, undefined> {
    if (root.kind === 'file') yield root
    for (let at = 0; ; ) {
      const encoded = this.#unread[at]
      if (encoded !== undefined) {
        at++
        for (const { node } of Directory.decode(encoded).entries) if (node.kind === 'file') yield node
        // What is behind need not be kept.
        if (at === 1024) this.#unread.splice(0, at)
        at %= 1024
      } else if (this.#ended) {
        return
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
      }
    }
  }
}
