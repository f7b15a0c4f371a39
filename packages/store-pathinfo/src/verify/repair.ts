import { type B3Digest, compareBytes, type Directory, type FileNode } from '@neve/castore-model'
import { type CallOptions, DirectoryGraph } from '@neve/castore-services'
import { copyClosure } from '@neve/castore-services/copy'
import type { StorePath } from '@neve/nix-compat'
import { calculateNar } from '../measure-nar.js'
import { type PushSource, type PushTarget, pushClosure } from '../push/push-closure.js'

/**
 * Takes what a store lacks, or has damaged, from other stores: storing something anew heals it (DESIGN decision 10). Each
 * method says whether it stored anything; whether that helped, whoever looks again finds out.
 */
export class Repair {
  readonly #store: PushTarget
  readonly #sources: readonly PushSource[]
  readonly #fetched = new Set<string>()

  constructor(store: PushTarget, sources: readonly PushSource[]) {
    this.#store = store
    this.#sources = sources
  }

  blob(file: FileNode, storePath: StorePath | undefined, options: CallOptions): Promise<boolean> {
    return this.#first(options, async (from) => {
      await this.#fetch(from, storePath, options)
      // Chunks that are sound here are not asked for.
      await copyClosure({ from, to: this.#store }, file, { ...options, heal: true, reuseChunks: true })
      return true
    })
  }

  /** @param root what the closure is known by that has the directory: some services store whole closures only */
  directory(
    digest: B3Digest,
    root: B3Digest,
    storePath: StorePath | undefined,
    options: CallOptions,
  ): Promise<boolean> {
    const { directories } = this.#store
    return this.#first(options, async (from) => {
      await this.#fetch(from, storePath, options)
      if (directories.putsSingly === true) {
        const directory = await directoryOf(from, digest, root, options)
        return directory !== undefined && (await directories.put(directory, options)).equals(digest)
      }
      const graph = DirectoryGraph.rootToLeaves(root)
      for await (const directory of from.directories.getRecursive(root, options)) graph.add(directory)
      const closure = graph.validate()
      if (closure.root === undefined) return false
      await using putter = directories.putMultipleStart(options)
      for (const directory of closure.leavesToRoot()) await putter.put(directory, options)
      await putter.close(options)
      return true
    })
  }

  pathInfo(digest: Uint8Array, options: CallOptions): Promise<boolean> {
    return this.#first(options, async (from) => {
      const info = await from.pathInfos.get(digest, options)
      if (info === undefined) return false
      await this.#store.pathInfos.put(info, options)
      return true
    })
  }

  /** A store path with its contents, once its NAR is what its path info says. */
  contents(storePath: StorePath, options: CallOptions): Promise<boolean> {
    return this.#first(options, async (from) => {
      const info = await from.pathInfos.get(storePath.digest, options)
      if (info === undefined || !info.storePath.equals(storePath)) return false
      await copyClosure({ from, to: this.#store }, info.node, { ...options, thorough: true })
      const { narSize, narSha256 } = await calculateNar(this.#store, info.node, options)
      if (narSize !== info.narSize || compareBytes(narSha256, info.narSha256) !== 0) return false
      await this.#store.pathInfos.put(info, { ...options, overwrite: true })
      return true
    })
  }

  reference(storePath: StorePath, options: CallOptions): Promise<boolean> {
    return this.#first(options, async (from) => {
      for await (const _path of pushClosure({ from, to: this.#store }, [storePath], options));
      return true
    })
  }

  /** Asks one source after the other; one that fails is as one that does not have it. */
  async #first(options: CallOptions, attempt: (from: PushSource) => Promise<boolean>): Promise<boolean> {
    for (const from of this.#sources) {
      try {
        if (await attempt(from)) return true
      } catch {
        options.signal?.throwIfAborted()
      }
    }
    return false
  }

  /** A binary cache has the contents of what it was asked for only then. */
  async #fetch(
    { pathInfos }: PushSource,
    storePath: StorePath | undefined,
    options: CallOptions,
  ): Promise<void> {
    if (storePath === undefined) return
    if (pathInfos.metadata === undefined || this.#fetched.has(storePath.toString())) return
    await pathInfos.get(storePath.digest, options)
    this.#fetched.add(storePath.toString())
  }
}

/** A directory by itself, or out of the closure that it is known by. */
async function directoryOf(
  { directories }: PushSource,
  digest: B3Digest,
  root: B3Digest,
  options: CallOptions,
): Promise<Directory | undefined> {
  const found = await directories.get(digest, options)
  if (found !== undefined) return found
  for await (const directory of directories.getRecursive(root, options)) {
    if (directory.digest().equals(digest)) return directory
  }
  return undefined
}
