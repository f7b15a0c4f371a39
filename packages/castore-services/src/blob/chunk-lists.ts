import { type B3Digest, decodeStatBlobResponse, encodeStatBlobResponse } from '@neve/castore-model'
import type { ChunkMeta } from '../blob-service.js'
import type { CallOptions } from '../call-options.js'
import { eachAtOnce } from '../concurrency/each-concurrent.js'
import { LruMap } from '../concurrency/lru-map.js'
import { SingleFlight } from '../concurrency/single-flight.js'
import { DataLossError } from '../errors.js'
import type { ObjectStore } from '../object-store/object-store.js'
import type { ChunkObjects } from './chunk-objects.js'
import { ChunkTable } from './chunk-table.js'
import { objectKey } from './object-layout.js'

/** The most bytes of a list: 1.6 million chunks, 400 GiB of them at the default average. */
const MAX_LIST = 64 * 1024 * 1024
/** How many lists to keep, and the most chunks of one that is kept. */
const CACHED_LISTS = 256
const CACHED_LIST_CHUNKS = 16384

const NOTHING = new Uint8Array(0)

/** What a blob is made of. */
export interface BlobList {
  readonly digest: B3Digest
  /** In order, all of them, and all stored. */
  readonly chunks: readonly ChunkMeta[]
  /** Whether it is most likely not there yet. */
  readonly expectNew: boolean
}

/** What blobs are made of, in an object store: `blobs/b3/…` (spec 02 section 11.2). */
export class ChunkLists {
  readonly #objects: ChunkObjects
  readonly #backend: string
  readonly #cache = new LruMap<string, readonly ChunkMeta[]>(CACHED_LISTS)
  readonly #reading = new SingleFlight<string, readonly ChunkMeta[] | undefined>()

  constructor(objects: ChunkObjects, backend: string) {
    this.#objects = objects
    this.#backend = backend
  }

  /** Whether there is an object for the blob's list, which then stays for a while; what is in it is not looked at. */
  async has(digest: B3Digest, options: CallOptions): Promise<boolean> {
    const { signal } = options
    if (this.#cache.get(digest.key) !== undefined && (await this.hold(digest, options))) return true
    const key = objectKey('blobs', digest)
    const found = await this.#objects.request((store) => store.head(key, { signal }), signal)
    return found !== undefined && (await this.hold(digest, options))
  }

  /** Keeps a list that is there from being collected for a while, and so all its chunks. */
  async hold(digest: B3Digest, options: CallOptions): Promise<boolean> {
    const held = await this.#objects.hold(objectKey('blobs', digest), options)
    if (!held) this.#cache.delete(digest.key)
    return held
  }

  /** The list, if it is at hand. */
  cached(digest: B3Digest): readonly ChunkMeta[] | undefined {
    return this.#cache.get(digest.key)
  }

  /**
   * A blob's chunks; none for a blob of one chunk; undefined when the blob is not listed.
   *
   * @throws DataLossError when the list cannot be right
   */
  async get(digest: B3Digest, options: CallOptions): Promise<readonly ChunkMeta[] | undefined> {
    const cached = this.#cache.get(digest.key)
    if (cached !== undefined) return cached
    const list = await this.#reading.run(digest.key, (signal) => this.#read(digest, signal), options)
    if (list !== undefined) this.#remember(digest, list)
    return list
  }

  /**
   * Stores a blob's list, after its chunks. One that is there and says the same stays; any other is replaced, since
   * nobody knows that its chunks are sound, and those of this one are.
   *
   * @param expectNew whether it is most likely not there yet: that saves a request if so
   */
  async ensure(
    digest: B3Digest,
    chunks: readonly ChunkMeta[],
    expectNew: boolean,
    { signal }: CallOptions,
  ): Promise<void> {
    const list = chunks.length < 2 ? [] : chunks
    await this.#objects.request(async (store) => {
      const key = objectKey('blobs', digest)
      const content = encodeList(list)
      if (expectNew && (await store.putIfAbsent(key, content, { signal }))) return
      const isThere = async (state: string): Promise<boolean> =>
        state === 'same' && (await this.#objects.hold(key, { content, signal }))
      const state = await this.#compare(store, digest, list, signal)
      if (await isThere(state)) return
      if (state === 'absent' && !expectNew && (await store.putIfAbsent(key, content, { signal }))) return
      if (state === 'absent' && (await isThere(await this.#compare(store, digest, list, signal)))) return
      await this.#objects.put(key, content, { signal })
    }, signal)
    this.#remember(digest, list)
  }

  /**
   * Stores the lists of several blobs, as `ensure` does; those that are expected to be new by one call where the store can.
   *
   * @throws the first failure, when nothing runs any more
   */
  async ensureAll(lists: readonly BlobList[], options: CallOptions): Promise<void> {
    const written = await this.#putNew(
      lists.filter(({ expectNew }) => expectNew),
      options,
    )
    await eachAtOnce(
      lists.filter((list) => !written.has(list)),
      ({ digest, chunks, expectNew }, signal) => this.ensure(digest, chunks, expectNew, { signal }),
      options,
    )
  }

  /** @returns those that were not there, and are now */
  async #putNew(lists: readonly BlobList[], options: CallOptions): Promise<ReadonlySet<BlobList>> {
    const put = async (store: ObjectStore): Promise<ReadonlySet<BlobList>> => {
      if (store.putAllIfAbsent === undefined || lists.length < 2) return new Set()
      const byKey = new Map(lists.map((list) => [objectKey('blobs', list.digest), list]))
      const objects = Array.from(byKey, ([key, { chunks }]) => ({ key, content: encodeList(chunks) }))
      const outcomes = await store.putAllIfAbsent(objects, options)
      const written = [...byKey.values()].filter((_, index) => outcomes[index])
      for (const { digest, chunks } of written) this.#remember(digest, chunks)
      return new Set(written)
    }
    return this.#objects.request(put, options.signal)
  }

  /** Forgets a list that was found to lie. */
  forget(digest: B3Digest): void {
    this.#cache.delete(digest.key)
  }

  clear(): void {
    this.#cache.clear()
  }

  #remember(digest: B3Digest, list: readonly ChunkMeta[]): void {
    if (list.length > 1 && list.length <= CACHED_LIST_CHUNKS) this.#cache.set(digest.key, list)
  }

  #read(digest: B3Digest, signal: AbortSignal): Promise<readonly ChunkMeta[] | undefined> {
    return this.#objects.request((store) => this.#load(store, digest, signal), signal)
  }

  async #compare(
    store: ObjectStore,
    digest: B3Digest,
    list: readonly ChunkMeta[],
    signal: AbortSignal | undefined,
  ): Promise<'absent' | 'same' | 'other'> {
    try {
      const stored = await this.#load(store, digest, signal)
      if (stored === undefined) return 'absent'
      return equalLists(stored, list) ? 'same' : 'other'
    } catch (error) {
      if (error instanceof DataLossError) return 'other'
      throw error
    }
  }

  async #load(
    store: ObjectStore,
    digest: B3Digest,
    signal: AbortSignal | undefined,
  ): Promise<readonly ChunkMeta[] | undefined> {
    const key = objectKey('blobs', digest)
    const stored = await store.get(key, { maxSize: MAX_LIST, signal })
    if (stored === undefined) return undefined
    let list: readonly ChunkMeta[]
    try {
      list = decodeStatBlobResponse(stored)
    } catch (error) {
      const detail = error instanceof Error ? error.message : String(error)
      throw new DataLossError(digest, this.#backend, `bad chunk list for blob ${digest}: ${detail}`, {
        cause: error,
      })
    }
    // Newest Snix lists the only chunk of a blob, which is the blob itself (spec 10 section 4).
    if (list.length === 1 && list[0]!.digest.equals(digest)) return []
    if (list.length === 1) {
      const detail = `bad chunk list for blob ${digest}: its only chunk is ${list[0]!.digest}`
      throw new DataLossError(digest, this.#backend, detail)
    }
    // Refuses what cannot be right.
    if (list.length > 0) new ChunkTable(digest, list, this.#backend)
    return list
  }
}

/** A blob of one chunk has a list without any. */
function encodeList(chunks: readonly ChunkMeta[]): Uint8Array {
  return chunks.length < 2 ? NOTHING : encodeStatBlobResponse(chunks)
}

function equalLists(a: readonly ChunkMeta[], b: readonly ChunkMeta[]): boolean {
  return (
    a.length === b.length &&
    a.every(({ digest, size }, index) => size === b[index]!.size && digest.equals(b[index]!.digest))
  )
}
