import { type B3Digest, compareBytes } from '@neve/castore-model'
import { type CallOptions, mapOrdered } from '@neve/castore-services'
import { DigestSet, DigestSizes } from '@neve/castore-services/gc'
import { isOld, ObjectMark, ObjectSizes } from '@neve/castore-services/object-gc'
import type { ObjectMeta, ObjectStore } from '@neve/castore-services/object-store'
import { StorePath } from '@neve/nix-compat'
import { type ObjectPathInfo, pathInfoObjects, readPathInfoObject } from '../object-store.js'
import { ObjectRoom } from './object-room.js'
import { listObjectRoots } from './object-roots.js'

/** Path infos that are walked from together. */
const AT_ONCE = 4096

/** How far marking has come. */
export interface ObjectMarkProgress {
  readonly paths: number
  readonly directories: number
}

/** What is to be marked in an object store. Times are in milliseconds since 1970. */
export interface ObjectRetention {
  /** Path infos that were written at this time or later stay. */
  readonly usedSince: number
  /** Other objects that were written at this time or later stay. */
  readonly cutoff: number
  /** Of path infos that were written at this time or later, those stay that there is room for. */
  readonly mayStaySince: number
  /** How much may stay, in bytes; undefined where that is no matter. */
  readonly maxBytes: number | undefined
}

/** A path info that may stay. */
interface Candidate {
  readonly digest: Uint8Array
  readonly used: number
}

/**
 * Marks what stays in an object store: what roots lead to, what is young, and all that these refer to; then what was used
 * last, as far as there is room.
 */
export class ObjectMarking {
  /** Digests of store paths. */
  readonly paths = new DigestSet()
  readonly castore: ObjectMark
  /** What roots lead to and is there. */
  rooted = 0
  /** Path infos in the store. */
  found = 0
  readonly #store: ObjectStore
  readonly #options: CallOptions
  readonly #concurrency: number
  readonly #onProgress: ((progress: ObjectMarkProgress) => void) | undefined

  constructor(
    store: ObjectStore,
    options: CallOptions,
    onProgress?: ((progress: ObjectMarkProgress) => void) | undefined,
  ) {
    this.#store = store
    this.#options = options
    this.#concurrency = Math.min(store.concurrency ?? 32, 64)
    this.#onProgress = onProgress
    this.castore = new ObjectMark(store)
  }

  /** @throws StoreError and CastoreError `data-loss` for what cannot be read */
  async run({ usedSince, cutoff, mayStaySince, maxBytes }: ObjectRetention): Promise<void> {
    const candidates: Candidate[] = []
    const sizes = new DigestSizes()
    let young = 0
    for (const { target } of await listObjectRoots(this.#store, this.#options)) {
      if (await this.#root(target)) this.rooted++
    }
    const some: Uint8Array[] = []
    for await (const { digest, meta } of pathInfoObjects(this.#store, this.#options)) {
      this.found++
      if (isOld(meta, usedSince)) {
        if (maxBytes === undefined) continue
        sizes.add(digest, meta.size)
        if (!isOld(meta, mayStaySince)) candidates.push({ digest, used: meta.modified! })
        continue
      }
      young += meta.size
      some.push(digest)
      if (some.length >= AT_ONCE) await this.#walk(some.splice(0))
    }
    await this.#walk(some)
    await this.castore.closures((meta) => !isOld(meta, cutoff), this.#options)
    if (maxBytes === undefined) return
    let kept = young
    for (const digest of this.paths.prefixes()) kept += sizes.get(digest)
    await this.chunks(cutoff)
    const isYoung = (meta: ObjectMeta): boolean => !isOld(meta, cutoff)
    const objects = await ObjectSizes.read(this.#store, this.castore, isYoung, this.#options)
    kept += objects.kept
    const room = new ObjectRoom(this.#store, this, { paths: sizes, objects, kept }, maxBytes, this.#options)
    candidates.sort((a, b) => b.used - a.used || compareBytes(a.digest, b.digest))
    await room.mark(
      candidates.map(({ digest }) => digest),
      () => this.#tell(),
    )
  }

  async #root(target: StorePath | B3Digest): Promise<boolean> {
    if (target instanceof StorePath) return this.path(target.digest)
    if (await this.castore.node({ kind: 'directory', digest: target }, this.#options)) return true
    await this.castore.node({ kind: 'file', digest: target }, this.#options)
    for (const key of ObjectMark.keysOf(target)) {
      if ((await this.#store.head(key, this.#options)) !== undefined) return true
    }
    return false
  }

  /** Marks the chunks of what is marked, and of blobs whose lists stay for their own sake. Closures are swept before. */
  async chunks(cutoff: number): Promise<void> {
    await this.castore.lists((meta) => !isOld(meta, cutoff), this.#options)
  }

  /** Path infos that are not marked. */
  async *unmarked(): AsyncGenerator<ObjectPathInfo, void, undefined> {
    for await (const object of pathInfoObjects(this.#store, this.#options)) {
      if (!this.paths.has(object.digest)) yield object
    }
  }

  /**
   * Marks a path info with all that it refers to, except the chunks of its blobs.
   *
   * @returns whether it is in the store
   */
  async path(root: Uint8Array): Promise<boolean> {
    await this.#walk([root])
    return this.paths.has(root)
  }

  async #walk(roots: readonly Uint8Array[]): Promise<void> {
    const started = new DigestSet()
    const isNew = (digest: Uint8Array): boolean => !this.paths.has(digest) && started.add(digest)
    for (let level = roots.filter(isNew); level.length > 0; ) {
      const next: Uint8Array[] = []
      const mark = (digest: Uint8Array, signal: AbortSignal) => this.#mark(digest, { signal })
      for await (const references of mapOrdered(level, this.#concurrency, mark, this.#options)) {
        next.push(...references.filter(isNew))
        this.#tell()
      }
      level = next
    }
  }

  #tell(): void {
    this.#onProgress?.({ paths: this.paths.size, directories: this.castore.directories })
  }

  /** @returns the digests of the references */
  async #mark(digest: Uint8Array, options: CallOptions): Promise<Uint8Array[]> {
    const info = await readPathInfoObject(this.#store, digest, options)
    if (info === undefined) return []
    this.paths.add(digest)
    if (info.node.kind !== 'symlink') await this.castore.node(info.node, options)
    return info.references.map((reference) => reference.digest)
  }
}
