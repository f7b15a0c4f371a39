import type { Directory, DirectorySizes, Node } from '@neve/castore-model'
import {
  type CallOptions,
  CastoreError,
  type DirectoryService,
  traverseDirectory,
} from '@neve/castore-services'
import { StoreError } from '../errors.js'
import type { PathInfo } from '../path-info.js'
import type { PathInfoService } from '../path-info-service.js'
import type { PushSource } from '../push/push-closure.js'
import { type RewrittenTree, rewriteTree } from './rewrite-tree.js'

interface Held {
  readonly directory: Directory
  users: number
}

/** What became of the tree of a path info. */
export interface Rewritten {
  readonly before: Node
  readonly after: Node
  /** How many directories are others than before. */
  readonly directories: number
}

/** A store as it would be if all of its directories recorded sizes by one rule: to read from. */
export class RewritingSource implements PushSource {
  readonly blobs: PushSource['blobs']
  readonly directories: DirectoryService
  readonly pathInfos: PathInfoService
  readonly #from: PushSource
  readonly #sizes: DirectorySizes
  readonly #held = new Map<string, Held>()
  /** What each path info that was asked for needs, by store path. */
  readonly #trees = new Map<string, { readonly tree: RewrittenTree; readonly before: Node }>()

  constructor(from: PushSource, sizes: DirectorySizes) {
    this.#from = from
    this.#sizes = sizes
    this.blobs = from.blobs
    this.directories = readingOnly(async (digest, options) => {
      return this.#held.get(digest.key)?.directory ?? (await from.directories.get(digest, options))
    })
    this.pathInfos = {
      get: (digest, options) => this.#pathInfo(digest, options),
      metadata: (digest, options) => from.pathInfos.get(digest, options),
      has: (digest, options) => from.pathInfos.has(digest, options),
      list: (options) => from.pathInfos.list(options),
      put: () => Promise.reject(new StoreError('unsupported', 'what is migrated is only read')),
    }
  }

  /** The root of a path info that was asked for, before and after; undefined for what is no directory. */
  rewritten({ storePath }: Pick<PathInfo, 'storePath'>): Rewritten | undefined {
    const known = this.#trees.get(storePath.toString())
    return known && { before: known.before, after: known.tree.root, directories: known.tree.rewritten }
  }

  /** Lets go of the directories of a path info. */
  release(info: Pick<PathInfo, 'storePath'>): void {
    const key = info.storePath.toString()
    const known = this.#trees.get(key)
    if (known === undefined) return
    this.#trees.delete(key)
    for (const digest of known.tree.directories.keys()) {
      const held = this.#held.get(digest)
      if (held !== undefined && --held.users === 0) this.#held.delete(digest)
    }
  }

  async #pathInfo(digest: Uint8Array, options?: CallOptions): Promise<PathInfo | undefined> {
    const info = await this.#from.pathInfos.get(digest, options)
    if (info?.node.kind !== 'directory') return info
    const tree = await rewriteTree(this.#from.directories, info.node.digest, this.#sizes, options)
    this.release(info)
    for (const [key, directory] of tree.directories) {
      const held = this.#held.get(key)
      if (held === undefined) this.#held.set(key, { directory, users: 1 })
      else held.users++
    }
    this.#trees.set(info.storePath.toString(), { tree, before: info.node })
    return { ...info, node: tree.root }
  }
}

function readingOnly(get: DirectoryService['get']): DirectoryService {
  const refuse = (): never => {
    throw new CastoreError('unsupported', 'what is migrated is only read')
  }
  return {
    get,
    put: async () => refuse(),
    putMultipleStart: refuse,
    getRecursive: (root, options) => traverseDirectory({ get }, root, { ...options, backend: 'the source' }),
  }
}
