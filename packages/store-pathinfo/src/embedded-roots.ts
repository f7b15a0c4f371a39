import type { Node, PathComponent } from '@neve/castore-model'
import type { EmbeddedStore } from '@neve/embedded-store'
import { decodeStored } from './path-info/stored.js'
import type { PathInfo } from './path-info.js'
import { nodeUnder, rootOf, type StoreRoot, storePathOf } from './root-nodes.js'

const TABLE = 'pathInfos'

/** Counts files that are open below a store path, by the digest of that, until what it gives is called. */
interface OpenCounter {
  opened(key: Uint8Array): () => void
}

/** As `PathInfoRoots`, over an embedded store and without promises: for a thread that never waits. */
export class EmbeddedRoots {
  readonly #engine: EmbeddedStore

  readonly #open: OpenCounter | undefined

  /**
   * @param engine stays the caller's
   * @param open counts what is open
   */
  constructor(engine: EmbeddedStore, open?: OpenCounter) {
    this.#engine = engine
    this.#open = open
  }

  /** What has been stored by now: a thread that never waits would not see it otherwise. */
  get(name: PathComponent): Node | undefined {
    const storePath = storePathOf(name)
    if (storePath === undefined) return undefined
    this.#engine.refresh()
    const bytes = this.#engine.get(TABLE, storePath.digest)
    const node = bytes && nodeUnder(storePath, this.#stored(storePath.digest, bytes))
    if (node !== undefined) this.#engine.uses.mark(storePath.digest)
    return node
  }

  /** Records that it is used, and counts it. */
  opened(name: PathComponent): (() => void) | undefined {
    const digest = storePathOf(name)?.digest
    if (digest === undefined) return undefined
    this.#engine.uses.mark(digest)
    return this.#open?.opened(digest)
  }

  *list(): Generator<StoreRoot, void, undefined> {
    this.#engine.refresh()
    for (const [digest, bytes] of this.#engine.entries(TABLE)) yield rootOf(this.#stored(digest, bytes))
  }

  #stored(digest: Uint8Array, bytes: Uint8Array): PathInfo {
    return decodeStored(`embedded:${this.#engine.path}`, digest, bytes)
  }
}

/** What a thread of `@neve/fs-fuse` that serves an embedded store shows in its root. */
export function rootNodes(engine: EmbeddedStore, open?: OpenCounter): EmbeddedRoots {
  return new EmbeddedRoots(engine, open)
}
