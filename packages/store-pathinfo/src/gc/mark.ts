import { CastoreMark } from '@neve/castore-services/gc'
import type { EmbeddedStore } from '@neve/embedded-store'
import type { StorePath } from '@neve/nix-compat'
import { decodeStored } from '../path-info/stored.js'
import type { PathInfo } from '../path-info.js'
import { listRoots, rootTargets } from './roots.js'

/** What keeps path infos besides roots. */
export interface Retention {
  /** Path infos that were put or used at this time or later, in milliseconds since 1970. */
  readonly usedSince: number
}

/** What is to be kept of a store. */
export interface Marked {
  /** Digests of the store paths, in hex. */
  readonly paths: Set<string>
  readonly castore: CastoreMark
}

/** How far marking has come. */
export interface MarkProgress {
  readonly paths: number
  readonly directories: number
}

/** Marks what roots and rules keep, with all that it refers to. */
export class Marking {
  readonly paths = new Set<string>()
  readonly castore: CastoreMark
  /** Store paths that roots lead to, and that are in the store. */
  rooted = 0
  readonly #engine: EmbeddedStore
  readonly #signal: AbortSignal | undefined
  readonly #onProgress: ((progress: MarkProgress) => void) | undefined

  constructor(
    engine: EmbeddedStore,
    options: {
      signal?: AbortSignal | undefined
      onProgress?: ((progress: MarkProgress) => void) | undefined
    },
  ) {
    this.#engine = engine
    this.castore = new CastoreMark(engine)
    this.#signal = options.signal
    this.#onProgress = options.onProgress
  }

  /** @throws StoreError `data-loss` for a path info that cannot be read, `not-found` for a folder of roots */
  async run({ usedSince }: Retention): Promise<void> {
    const { paths, digests } = await rootTargets(listRoots(this.#engine))
    for (const digest of paths) if (await this.path(digest)) this.rooted++
    for (const digest of digests) {
      this.rooted++
      this.castore.blob(digest.bytes)
      await this.castore.node({ kind: 'directory', digest, size: 0n }, this.#signal)
    }
    for (const digest of this.#engine.keys('pathInfos')) {
      if ((this.#engine.uses.last(digest) ?? 0) >= usedSince) await this.path(digest)
    }
  }

  /** @returns whether it is in the store */
  async path(root: Uint8Array): Promise<boolean> {
    const open = [root]
    let found = false
    for (let digest = open.pop(); digest !== undefined; digest = open.pop()) {
      const key = hex(digest)
      if (this.paths.has(key)) {
        found ||= digest === root
        continue
      }
      const info = pathInfo(this.#engine, digest)
      if (info === undefined) continue
      this.paths.add(key)
      found ||= digest === root
      await this.refersTo(info, open)
    }
    return found
  }

  /** Marks the contents of a path info, and adds what it references. */
  async refersTo(info: PathInfo, open: Uint8Array[]): Promise<void> {
    for (const reference of info.references) open.push(reference.digest)
    await this.castore.node(info.node, this.#signal)
    this.#onProgress?.({ paths: this.paths.size, directories: this.castore.directories.size })
  }
}

/** @throws StoreError `data-loss` */
export function pathInfo(engine: EmbeddedStore, digest: Uint8Array): PathInfo | undefined {
  const bytes = engine.get('pathInfos', digest)
  return bytes && decodeStored(`embedded:${engine.path}`, digest, bytes)
}

export function pathOf(engine: EmbeddedStore, digest: Uint8Array): StorePath | undefined {
  return pathInfo(engine, digest)?.storePath
}

export function hex(digest: Uint8Array): string {
  return Buffer.from(digest.buffer, digest.byteOffset, digest.length).toString('hex')
}
