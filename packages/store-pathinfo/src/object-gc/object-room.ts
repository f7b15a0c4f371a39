import { type CallOptions, mapOrdered } from '@neve/castore-services'
import { DigestSet, type DigestSizes } from '@neve/castore-services/gc'
import type { ObjectMark, ObjectSizes } from '@neve/castore-services/object-gc'
import type { ObjectStore } from '@neve/castore-services/object-store'
import { readPathInfoObject } from '../object-store.js'

/** Path infos that are read ahead. */
const AHEAD = 16

/** What is marked so far. */
export interface Marked {
  /** Digests of store paths. */
  readonly paths: DigestSet
  readonly castore: ObjectMark
}

/** What the objects of a store take, as far as they may still go; and what the others take, in bytes. */
export interface RoomSizes {
  readonly paths: DigestSizes
  readonly objects: ObjectSizes
  readonly kept: number
}

/** A path info, and what it stands for without its references. */
interface Part {
  readonly digest: Uint8Array
  readonly references: readonly Uint8Array[]
  readonly castore: ObjectMark
}

/**
 * Marks path infos as long as there is room for them: each with everything that it refers to, chunks too, or not at all.
 * What it reads is read once, but for what several of the next sixteen have in common.
 */
export class ObjectRoom {
  readonly #store: ObjectStore
  readonly #marked: Marked
  readonly #sizes: RoomSizes
  readonly #maxBytes: number
  readonly #options: CallOptions
  #bytes: number

  /** @param marked what is added to; of blobs that are marked, the chunks are */
  constructor(
    store: ObjectStore,
    marked: Marked,
    sizes: RoomSizes,
    maxBytes: number,
    { signal }: CallOptions,
  ) {
    this.#store = store
    this.#marked = marked
    this.#sizes = sizes
    this.#maxBytes = maxBytes
    this.#options = { signal }
    this.#bytes = sizes.kept
  }

  /**
   * @param candidates digests of store paths, the one that is to stay first
   * @param onMarked called after each
   * @returns how many could be marked before there was no room for the next
   * @throws StoreError and CastoreError `data-loss` for what cannot be read
   */
  async mark(candidates: Iterable<Uint8Array>, onMarked: () => void): Promise<number> {
    let count = 0
    const read = (digest: Uint8Array, signal: AbortSignal) => this.#part(digest, { signal })
    for await (const part of mapOrdered(candidates, AHEAD, read, this.#options)) {
      if (part !== undefined && !(await this.#add(part))) return count
      count++
      onMarked()
    }
    return count
  }

  /** @returns undefined for one that is marked already, or not there */
  async #part(digest: Uint8Array, options: CallOptions): Promise<Part | undefined> {
    if (this.#marked.paths.has(digest)) return undefined
    const info = await readPathInfoObject(this.#store, digest, options)
    if (info === undefined) return undefined
    const castore = this.#marked.castore.above(this.#sizes.objects)
    if (info.node.kind !== 'symlink') await castore.node(info.node, options)
    await castore.chunksToMeasure(options)
    return { digest, references: info.references.map((reference) => reference.digest), castore }
  }

  /** @returns whether there was room for it and what it references */
  async #add(first: Part): Promise<boolean> {
    const { paths, castore } = this.#marked
    const more = castore.above(this.#sizes.objects)
    const asked = new DigestSet()
    // Without what is referenced and is not there.
    const added = new DigestSet()
    let pathBytes = 0
    asked.add(first.digest)
    const isNew = (digest: Uint8Array): boolean => !paths.has(digest) && asked.add(digest)
    for (let parts = [first]; parts.length > 0; ) {
      const next: Uint8Array[] = []
      for (const part of parts) {
        added.add(part.digest)
        pathBytes += this.#sizes.paths.get(part.digest)
        more.add(part.castore)
        next.push(...part.references.filter(isNew))
      }
      if (this.#bytes + pathBytes + more.bytes > this.#maxBytes) return false
      parts = []
      const read = (digest: Uint8Array, signal: AbortSignal) => this.#part(digest, { signal })
      for await (const part of mapOrdered(next, AHEAD, read, this.#options)) {
        if (part !== undefined) parts.push(part)
      }
    }
    this.#bytes += pathBytes + more.bytes
    castore.add(more)
    paths.addAll(added)
    return true
  }
}
