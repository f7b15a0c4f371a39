import { type Node, PathComponent } from '@neve/castore-model'
import type { CallOptions } from '@neve/castore-services'
import { StorePath } from '@neve/nix-compat'
import type { PathInfo } from './path-info.js'
import type { PathInfoService } from './path-info-service.js'

/** A base name of a store path and what stands under it: what a mount shows in its root. */
export interface StoreRoot {
  readonly name: PathComponent
  readonly node: Node
}

/**
 * The store paths of a service as names in a directory, in the terms that `RootNodes` of `@neve/fs-fuse` has (spec 05
 * section 2).
 */
export class PathInfoRoots {
  readonly #pathInfos: Pick<PathInfoService, 'get' | 'list'>

  constructor(pathInfos: Pick<PathInfoService, 'get' | 'list'>) {
    this.#pathInfos = pathInfos
  }

  /** @returns undefined for names that are no base names of store paths, and for store paths that are not there */
  async get(name: PathComponent, options?: CallOptions): Promise<Node | undefined> {
    const storePath = storePathOf(name)
    return storePath && nodeUnder(storePath, await this.#pathInfos.get(storePath.digest, options))
  }

  async *list(options: CallOptions = {}): AsyncGenerator<StoreRoot, void, undefined> {
    for await (const info of this.#pathInfos.list(options)) yield rootOf(info)
  }
}

/** The store path that a name is the base name of. */
export function storePathOf(name: PathComponent): StorePath | undefined {
  try {
    return StorePath.parse(name.bytes)
  } catch {
    return undefined
  }
}

/** The root of a path info, if that is of the store path: the digest alone says nothing of the name. */
export function nodeUnder(storePath: StorePath, info: PathInfo | undefined): Node | undefined {
  return info?.storePath.equals(storePath) ? info.node : undefined
}

export function rootOf({ storePath, node }: PathInfo): StoreRoot {
  return { name: PathComponent.from(storePath.toString()), node }
}
