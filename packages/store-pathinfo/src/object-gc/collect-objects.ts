import { B3Digest } from '@neve/castore-model'
import { type CallOptions, mapOrdered } from '@neve/castore-services'
import { parentsFirst } from '@neve/castore-services/gc'
import {
  Collection,
  GRACE_POLL,
  isOld,
  type Keeping,
  LEAST_GRACE,
  type MarkedKind,
  readGrace,
  writeGrace,
} from '@neve/castore-services/object-gc'
import type { ObjectMeta, ObjectStore } from '@neve/castore-services/object-store'
import type { StorePath } from '@neve/nix-compat'
import { StoreError } from '../errors.js'
import type { GarbagePath } from '../gc/collect-garbage.js'
import type { RetentionRules } from '../gc/retention.js'
import { type ObjectPathInfo, readPathInfoObject } from '../object-store.js'
import type { PathInfo } from '../path-info.js'
import { ObjectMarking, type ObjectMarkProgress, type ObjectRetention } from './object-marking.js'

/**
 * Options of {@link collectObjects}. Times are in milliseconds, sizes in bytes. A path info was used when its object was
 * written last: who asks for it has it written again, to a quarter of the grace age.
 */
export interface CollectObjectsOptions extends RetentionRules, CallOptions {
  /**
   * Nothing that was written or counted on within this time is removed: uploads have to take less than half of it. Stored
   * with the store, for all who write to it; 0 is for once, and for a store that nobody else uses. At least 2 seconds.
   * Default: what is stored, else a day
   */
  readonly grace?: number | undefined
  /** Path infos that were put or used within this time stay, too, whatever the rules say. Default: the grace age. */
  readonly olderThan?: number | undefined
  /** Whether everything may go when no root keeps anything. Default: false. */
  readonly all?: boolean | undefined
  /** Only tell what is garbage, and write nothing. Default: false. */
  readonly dryRun?: boolean | undefined
  /** End once so much was removed. Default: no limit. */
  readonly maxFreed?: number | undefined
  /** How long ago everybody must have been told of the grace age. Default: 20 minutes, or the grace age if longer. */
  readonly settled?: number | undefined
  /** After how long another collector that does not stir counts as killed. Default: two minutes. */
  readonly dead?: number | undefined
  /** Called often: keep it short. */
  readonly onProgress?: ((progress: CollectObjectsProgress) => void) | undefined
}

/** How far a collection has come. */
export type CollectObjectsProgress =
  | ({ readonly step: 'mark' } & ObjectMarkProgress)
  | { readonly step: 'sweep'; readonly objects: number; readonly bytes: number }

/** What {@link collectObjects} removed, or would have. */
export interface CollectedObjects {
  readonly paths: readonly StorePath[]
  /** The same, with the reasons; one whose path info cannot be read is in neither. */
  readonly reasons: readonly GarbagePath[]
  readonly keptPaths: number
  /** Objects of all kinds, and their bytes. */
  readonly objects: number
  readonly bytes: number
  /** From when on garbage can be removed, in milliseconds since 1970, where that is later: then nothing was. */
  readonly notBefore: number | undefined
}

const DAY = 86_400_000
/** Clouds tell times to the second. */
const SECOND = 1000

/**
 * Removes from an object store what no root keeps, while others read and write. Killed anywhere, nothing that stays lacks
 * anything, and the next collection goes on. Why nothing that lives is lost: see the README of `@neve/castore-services`.
 *
 * @throws StoreError `unsupported` when nothing says what is to be kept, `data-loss` for what cannot be read;
 *   CollectionBusyError while somebody else collects; CastoreError `invalid-input` for a store that does not tell when objects were written
 */
export async function collectObjects(
  store: ObjectStore,
  options: CollectObjectsOptions = {},
): Promise<CollectedObjects> {
  const { signal, dryRun = false } = options
  const stored = await readGrace(store, { signal })
  const grace = options.grace ?? stored?.grace ?? DAY
  if (grace !== 0 && !(grace >= LEAST_GRACE)) {
    throw new StoreError(
      'invalid-input',
      `invalid grace age: expected 0, or at least ${LEAST_GRACE} ms, got ${grace}`,
    )
  }
  if (dryRun) return new ObjectCollector(store, undefined, grace, Date.now(), options).run()
  await using collection = await Collection.begin(store, { signal }, options.dead)
  const { began } = collection
  let since = grace === 0 ? Number.NEGATIVE_INFINITY : stored?.since
  if (grace !== 0 && stored?.grace !== grace) {
    await writeGrace(store, grace, { signal })
    since = (await readGrace(store, { signal }))?.since ?? Number.POSITIVE_INFINITY
  }
  const notBefore = since! + (options.settled ?? Math.max(grace, 2 * GRACE_POLL))
  if (notBefore <= began) return await new ObjectCollector(store, collection, grace, began, options).run()
  return { ...(await new ObjectCollector(store, undefined, grace, began, options).run()), notBefore }
}

/** The rules as of when a collection began. */
function retentionOf(
  began: number,
  grace: number,
  { olderThan = 0, keepUsedWithin, maxSize }: CollectObjectsOptions,
): ObjectRetention {
  const cutoff = began - grace - SECOND
  const lately = Math.min(cutoff, began - olderThan)
  const within = keepUsedWithin ?? (maxSize === undefined ? 0 : Number.POSITIVE_INFINITY)
  const mayStaySince = Math.min(lately, began - within)
  // Where there is no limit, what may stay stays.
  const usedSince = maxSize === undefined ? mayStaySince : lately
  return { usedSince, cutoff, mayStaySince, maxBytes: maxSize }
}

class ObjectCollector {
  readonly #store: ObjectStore
  /** Undefined where nothing is to be removed. */
  readonly #collection: Collection | undefined
  readonly #options: CollectObjectsOptions
  readonly #retention: ObjectRetention
  readonly #marking: ObjectMarking
  #objects = 0
  #bytes = 0

  constructor(
    store: ObjectStore,
    collection: Collection | undefined,
    grace: number,
    began: number,
    options: CollectObjectsOptions,
  ) {
    const { onProgress, signal } = options
    this.#store = store
    this.#collection = collection
    this.#options = options
    this.#retention = retentionOf(began, grace, options)
    this.#marking = new ObjectMarking(store, { signal }, (progress) =>
      onProgress?.({ step: 'mark', ...progress }),
    )
  }

  async run(): Promise<CollectedObjects> {
    const marking = this.#marking
    const { cutoff } = this.#retention
    await marking.run(this.#retention)
    this.#expectPurpose()
    const reasons = await this.#sweepPaths()
    const paths = reasons.map(({ storePath }) => storePath)
    const keptPaths = marking.paths.size
    await this.#sweepKind('closures')
    await marking.chunks(cutoff)
    for (const kind of ['lists', 'chunks', 'newerChunks'] as const) await this.#sweepKind(kind)
    return { paths, reasons, keptPaths, objects: this.#objects, bytes: this.#bytes, notBefore: undefined }
  }

  #expectPurpose(): void {
    const { all = false, dryRun = false, olderThan, keepUsedWithin, maxSize } = this.#options
    const { rooted, found } = this.#marking
    const hasRule = [olderThan, keepUsedWithin, maxSize].some((rule) => rule !== undefined)
    if (all || dryRun || rooted > 0 || (hasRule && found > 0)) return
    const lacks = found === 0 ? 'neither a root nor a path info is in it' : 'no root leads to anything in it'
    throw new StoreError('unsupported', `nothing says what is to be kept of ${this.#store.name}: ${lacks}`)
  }

  /** Path infos before those that they reference: whatever is left by somebody who is killed is whole. */
  async #sweepPaths(): Promise<GarbagePath[]> {
    const { usedSince, mayStaySince } = this.#retention
    const garbage = new Map<
      string,
      { readonly object: ObjectPathInfo; readonly info: PathInfo | undefined }
    >()
    for await (const object of this.#marking.unmarked()) {
      // Written since it was marked: what it refers to may be old.
      if (!isOld(object.meta, usedSince)) await this.#marking.path(object.digest)
      else garbage.set(hex(object.digest), { object, info: undefined })
    }
    const read = async ({ object }: { readonly object: ObjectPathInfo }, signal: AbortSignal) => {
      // One that is damaged is garbage all the same.
      const info = await readPathInfoObject(this.#store, object.digest, { signal }).catch(isDamaged)
      return { object, info }
    }
    const entries = [...garbage.values()]
    for await (const entry of mapOrdered(entries, 64, read, this.#options))
      garbage.set(hex(entry.object.digest), entry)
    const digests = entries.map(({ object }) => object.digest)
    const referencesOf = (digest: Uint8Array): Uint8Array[] =>
      garbage.get(hex(digest))?.info?.references.map((reference) => reference.digest) ?? []
    const order = parentsFirst(digests, referencesOf)
    const removed: GarbagePath[] = []
    const marking = this.#marking
    const inOrder = async function* (): AsyncGenerator<ObjectMeta, void, undefined> {
      for (const digest of order) {
        // One that was counted on since, and comes before it, may refer to it.
        if (!marking.paths.has(digest)) yield garbage.get(hex(digest))!.object.meta
      }
    }
    const digestOf = (meta: ObjectMeta): Uint8Array => Buffer.from(nameOf(meta), 'hex')
    const keeping = {
      rescue: (meta: ObjectMeta) => marking.path(digestOf(meta)),
      stays: (meta: ObjectMeta) => marking.paths.has(digestOf(meta)),
    }
    for await (const meta of this.#sweep(inOrder(), usedSince, keeping)) {
      const info = garbage.get(nameOf(meta))?.info
      if (info === undefined) continue
      const reason = isOld(meta, mayStaySince) ? 'unused' : 'size'
      removed.push({ storePath: info.storePath, lastUsed: meta.modified, reason })
    }
    return removed
  }

  async #sweepKind(kind: MarkedKind): Promise<void> {
    const { castore } = this.#marking
    const { signal } = this.#options
    // What is kept for its own sake, found late, keeps what it refers to: that is swept after it.
    const rescue = async (meta: ObjectMeta): Promise<void> => {
      const digest = B3Digest.from(Buffer.from(nameOf(meta), 'hex'))
      if (kind === 'closures') await castore.closure(digest, { signal })
      if (kind === 'lists') await castore.list(digest, { signal })
    }
    const old = async function* (cutoff: number): AsyncGenerator<ObjectMeta, void, undefined> {
      for await (const { meta } of castore.unmarked(kind, { signal })) {
        if (isOld(meta, cutoff)) yield meta
        else await rescue(meta)
      }
    }
    const { cutoff } = this.#retention
    for await (const _ of this.#sweep(old(cutoff), cutoff, { rescue }));
  }

  /** Yields what was removed, or would be. */
  async *#sweep(
    objects: AsyncIterable<ObjectMeta>,
    cutoff: number,
    keeping: Keeping,
  ): AsyncGenerator<ObjectMeta, void, undefined> {
    const { maxFreed = Number.POSITIVE_INFINITY, signal } = this.#options
    if (this.#bytes >= maxFreed) return
    if (this.#collection === undefined) {
      for await (const meta of objects) {
        this.#count(meta)
        yield meta
      }
      return
    }
    for await (const { removed } of this.#collection.sweep(objects, cutoff, keeping, { signal })) {
      for (const meta of removed) {
        this.#count(meta)
        yield meta
      }
      signal?.throwIfAborted()
      if (this.#bytes >= maxFreed) return
    }
  }

  #count({ size }: ObjectMeta): void {
    this.#objects++
    this.#bytes += size
    this.#options.onProgress?.({ step: 'sweep', objects: this.#objects, bytes: this.#bytes })
  }
}

function nameOf({ key }: ObjectMeta): string {
  return key.slice(key.lastIndexOf('/') + 1)
}

function hex(digest: Uint8Array): string {
  return Buffer.from(digest).toString('hex')
}

function isDamaged(error: unknown): undefined {
  if (!(error instanceof StoreError) || error.code !== 'data-loss') throw error
}
