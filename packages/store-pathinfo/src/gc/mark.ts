import { CastoreMark, entryBytes } from '@neve/castore-services/gc'
import type { EmbeddedStore } from '@neve/embedded-store'
import type { StorePath } from '@neve/nix-compat'
import { decodeStored } from '../path-info/stored.js'
import type { PathInfo } from '../path-info.js'
import type { Retention } from './retention.js'
import { listRoots, rootTargets } from './roots.js'

/** How far marking has come. */
export interface MarkProgress {
  readonly paths: number
  readonly directories: number
}

/** Options of a {@link Marking}. */
export interface MarkingOptions {
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((progress: MarkProgress) => void) | undefined
}

/**
 * Marks what roots and rules keep, with all that it refers to. What goes by its size is tried first: what went beyond the
 * limit cannot be taken back.
 *
 * @throws StoreError `data-loss` for a path info that cannot be read, `not-found` for a folder of roots
 */
export async function markKept(
  engine: EmbeddedStore,
  retention: Retention,
  options: MarkingOptions,
): Promise<Marking> {
  const tried = new Marking(engine, options, retention.maxBytes !== undefined)
  const candidates = await tried.always(retention)
  const fitting = await tried.candidates(candidates, retention.maxBytes)
  if (fitting === candidates.length) return tried
  const marking = new Marking(engine, options)
  await marking.always(retention)
  await marking.candidates(candidates.slice(0, fitting))
  return marking
}

/** What is marked of a store, and how. */
export class Marking {
  /** Digests of the store paths, in hex. */
  readonly paths = new Set<string>()
  readonly castore: CastoreMark
  /** Store paths that roots lead to, and that are in the store. */
  rooted = 0
  readonly #engine: EmbeddedStore
  readonly #signal: AbortSignal | undefined
  readonly #onProgress: ((progress: MarkProgress) => void) | undefined
  #infoBytes = 0

  /** @param measures whether it is to be known how much is marked */
  constructor(engine: EmbeddedStore, { signal, onProgress }: MarkingOptions, measures = false) {
    this.#engine = engine
    this.castore = new CastoreMark(engine, { measures })
    this.#signal = signal
    this.#onProgress = onProgress
  }

  /**
   * Marks what stays in any case.
   *
   * @returns store paths that may stay, the one that was used last first
   */
  async always({ usedSince, mayStaySince }: Retention): Promise<Uint8Array[]> {
    const { paths, digests } = await rootTargets(listRoots(this.#engine))
    for (const digest of paths) if (await this.#path(digest)) this.rooted++
    for (const digest of digests) {
      this.rooted++
      this.castore.blob(digest.bytes)
      await this.castore.nodeLater({ kind: 'directory', digest, size: 0n }, this.#signal)
    }
    const candidates: { readonly digest: Uint8Array; readonly used: number }[] = []
    for (const digest of this.#engine.keys('pathInfos')) {
      const used = this.#engine.uses.last(digest) ?? 0
      if (used >= usedSince) await this.#path(digest)
      else if (used >= mayStaySince)
        candidates.push({ digest: Uint8Array.prototype.slice.call(digest), used })
    }
    await this.castore.run(this.#signal)
    return candidates.sort((a, b) => b.used - a.used).map(({ digest }) => digest)
  }

  /**
   * Marks store paths one after the other, until more than `maxBytes` are marked in all.
   *
   * @returns how many could be marked before that
   */
  async candidates(digests: readonly Uint8Array[], maxBytes = Number.POSITIVE_INFINITY): Promise<number> {
    for (const [index, digest] of digests.entries()) {
      await this.path(digest)
      if (this.#infoBytes + this.castore.bytes > maxBytes) return index
    }
    return digests.length
  }

  /** @returns whether it is in the store */
  async path(root: Uint8Array): Promise<boolean> {
    const found = await this.#path(root)
    await this.castore.run(this.#signal)
    return found
  }

  /** As {@link path}, but contents are marked later. */
  async #path(root: Uint8Array): Promise<boolean> {
    const open = [root]
    let found = false
    for (let digest = open.pop(); digest !== undefined; digest = open.pop()) {
      const key = hex(digest)
      if (this.paths.has(key)) {
        found ||= digest === root
        continue
      }
      const bytes = this.#engine.get('pathInfos', digest)
      if (bytes === undefined) continue
      const info = decode(this.#engine, digest, bytes)
      this.#infoBytes += entryBytes(bytes)
      this.paths.add(key)
      found ||= digest === root
      await this.#refersTo(info, open)
    }
    return found
  }

  /** Marks the contents of a path info, and adds what it references. */
  async refersTo(info: PathInfo, open: Uint8Array[]): Promise<void> {
    await this.#refersTo(info, open)
    await this.castore.run(this.#signal)
  }

  async #refersTo(info: PathInfo, open: Uint8Array[]): Promise<void> {
    for (const reference of info.references) open.push(reference.digest)
    await this.castore.nodeLater(info.node, this.#signal)
    this.#onProgress?.({ paths: this.paths.size, directories: this.castore.directories.size })
  }
}

/** @throws StoreError `data-loss` */
export function pathInfo(engine: EmbeddedStore, digest: Uint8Array): PathInfo | undefined {
  const bytes = engine.get('pathInfos', digest)
  return bytes && decode(engine, digest, bytes)
}

function decode(engine: EmbeddedStore, digest: Uint8Array, bytes: Uint8Array): PathInfo {
  return decodeStored(`embedded:${engine.path}`, digest, bytes)
}

export function pathOf(engine: EmbeddedStore, digest: Uint8Array): StorePath | undefined {
  return pathInfo(engine, digest)?.storePath
}

export function hex(digest: Uint8Array): string {
  return Buffer.from(digest.buffer, digest.byteOffset, digest.length).toString('hex')
}
