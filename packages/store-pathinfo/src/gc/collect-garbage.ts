import { DigestSet, eachChild, KeyList, parentsFirst } from '@neve/castore-services/gc'
import { type Collector, EmbeddedStore, type LeaseHolder, type StoredKey } from '@neve/embedded-store'
import type { StorePath } from '@neve/nix-compat'
import { StoreError } from '../errors.js'
import { hex, type Marking, type MarkProgress, markKept, pathInfo, pathOf } from './mark.js'
import { type Retention, type RetentionOptions, retentionOf } from './retention.js'

/** Options of {@link collectGarbage}. Times are in milliseconds, sizes in bytes. */
export interface CollectGarbageOptions extends RetentionOptions {
  /** Whether everything may go when no root keeps anything. Default: false. */
  readonly all?: boolean | undefined
  /** Look for nothing new, only remove what earlier collections have found. Default: false. */
  readonly onlyCondemned?: boolean | undefined
  /** Only tell what is garbage. Default: false. */
  readonly dryRun?: boolean | undefined
  /** Compact no more segments once so much is free again. Default: no limit. */
  readonly maxFreed?: number | undefined
  /** Segments of which less than this share is needed are compacted, 0 to 1. Default: 0.5. */
  readonly share?: number | undefined
  /** How long to wait for those who began to write before. Default: a minute. */
  readonly patience?: number | undefined
  readonly signal?: AbortSignal | undefined
  /** Called often: keep it short. */
  readonly onProgress?: ((progress: CollectProgress) => void) | undefined
}

/** How far a collection has come. */
export type CollectProgress =
  | ({ readonly step: 'mark' } & MarkProgress)
  | { readonly step: 'wait'; readonly holders: readonly LeaseHolder[] }
  | { readonly step: 'sweep'; readonly removed: number; readonly garbage: number }
  | { readonly step: 'compact'; readonly freedBytes: number }

/** A store path that is garbage, and why it does not stay although no root is in its way. */
export interface GarbagePath {
  readonly storePath: StorePath
  /** When it was put or used, in milliseconds since 1970, as far as that is known. */
  readonly lastUsed: number | undefined
  /** `unused`: for longer than is kept; `size`: others that were used later take all that may be taken. */
  readonly reason: 'unused' | 'size'
}

/** What {@link collectGarbage} did, or found. */
export interface CollectedGarbage {
  /** Store paths that are garbage, and are gone unless `waitingFor` has anybody or it was a dry run. */
  readonly paths: readonly StorePath[]
  /** The same, with the reasons. */
  readonly reasons: readonly GarbagePath[]
  readonly keptPaths: number
  readonly directories: number
  /** Pieces of content. */
  readonly contents: number
  /** What these take, as they are stored. */
  readonly contentBytes: number
  /** How much is gone now, of all kinds: of this and of earlier collections that could not go on. */
  readonly removed: number
  /** What the file system has got back. */
  readonly freedBytes: number
  /** Segments with damage, which were left as they are. */
  readonly damagedSegments: number
  /** Who has had the store open for writing since before: what is garbage goes with a later collection. */
  readonly waitingFor: readonly LeaseHolder[]
}

const MINUTE = 60_000
const DIGEST = 32
const PATH_DIGEST = 20

/**
 * Removes from an embedded store what no root keeps, and gives its space back, while others read and write. Interrupted
 * anywhere, the store is sound, and the next collection goes on. Why nothing that lives is lost: see the README of
 * `@neve/embedded-store`.
 *
 * @param path the folder of the store
 * @throws StoreError `unsupported` when nothing says what is to be kept, `not-found` for a folder of roots that cannot be
 *   read, `data-loss` for a path info that cannot be; EmbeddedStoreError `busy` while somebody else collects
 */
export async function collectGarbage(
  path: string,
  options: CollectGarbageOptions = {},
): Promise<CollectedGarbage> {
  const { dryRun = false, patience = MINUTE, signal, onProgress } = options
  await using engine = await EmbeddedStore.open(path, { create: false, readOnly: dryRun })
  // Once for all: room that is made by the first sweep counts.
  const retention = retentionOf(engine, options)
  if (dryRun)
    return {
      ...(await findGarbage(engine, options, retention)).report,
      removed: 0,
      freedBytes: 0,
      damagedSegments: 0,
      waitingFor: [],
    }
  using collector = engine.collect()
  // What was condemned before, by a collection that could not go on or was interrupted, comes first.
  let removed = await sweep(engine, collector, options, retention)
  const { report, keys } = options.onlyCondemned
    ? nothing(engine)
    : await findGarbage(engine, options, retention)
  let waitingFor: readonly LeaseHolder[] = []
  const compacted = { freedBytes: 0, damagedSegments: 0 }
  for (let garbage: Found = { report, keys }; ; ) {
    const before = removed
    const { paths, directories, contents, lists } = garbage.report
    if (paths.length + directories + contents + lists > 0) {
      const epoch = await collector.condemn(garbage.keys())
      onProgress?.({ step: 'wait', holders: collector.holders() })
      waitingFor = await collector.settled(patience, signal)
      if (collector.safeEpoch() >= epoch) removed += await sweep(engine, collector, options, retention)
    } else waitingFor = stillWaiting(collector)
    await compact(collector, options, compacted)
    // On a full disk there is room for some of it only, and for more once that is gone.
    if (!collector.cutShort || removed === before) break
    garbage = await findGarbage(engine, options, retention)
  }
  return { ...report, removed, ...compacted, waitingFor }
}

/** Who has had the store open since before what is condemned was. */
function stillWaiting(collector: Collector): readonly LeaseHolder[] {
  const epochs = collector.state.condemned.map(({ epoch }) => epoch)
  return collector.holders().filter((holder) => epochs.some((epoch) => holder.epoch < epoch))
}

interface Found {
  readonly report: Omit<CollectedGarbage, 'removed' | 'freedBytes' | 'damagedSegments' | 'waitingFor'> & {
    readonly lists: number
  }
  /** What is garbage and not condemned yet. */
  readonly keys: () => Generator<StoredKey, void, undefined>
}

async function mark(
  engine: EmbeddedStore,
  options: CollectGarbageOptions,
  retention: Retention,
): Promise<Marking> {
  const { all = false, signal, onProgress } = options
  const marking = await markKept(engine, retention, {
    signal,
    onProgress: onProgress && ((progress) => onProgress({ step: 'mark', ...progress })),
  })
  const { olderThan, keepUsedWithin, maxSize, makeRoom } = options
  const rules = [olderThan, keepUsedWithin, maxSize, makeRoom]
  if (marking.rooted === 0 && !all && rules.every((rule) => rule === undefined)) {
    throw new StoreError(
      'unsupported',
      'no root leads to anything in the store, so all of it would be garbage: name what is to be kept with "neve root add", or say --older-than, --keep-used-within, --max-size or --all',
    )
  }
  return marking
}

/** Where nothing new is to be found. */
function nothing(engine: EmbeddedStore): Found {
  const counts = { directories: 0, lists: 0, contents: 0, contentBytes: 0 }
  const report = { paths: [], reasons: [], keptPaths: engine.count('pathInfos'), ...counts }
  return { report, keys: function* () {} }
}

async function findGarbage(
  engine: EmbeddedStore,
  options: CollectGarbageOptions,
  retention: Retention,
): Promise<Found> {
  engine.refresh()
  const marking = await mark(engine, options, retention)
  const { castore, paths: kept } = marking
  castore.chunks()
  const paths: StorePath[] = []
  const reasons: GarbagePath[] = []
  const counts = { directories: 0, lists: 0, contents: 0, contentBytes: 0 }
  for (const digest of engine.keys('pathInfos')) {
    if (kept.has(hex(digest))) continue
    const storePath = pathOf(engine, digest)
    if (storePath === undefined) continue
    const lastUsed = engine.uses.last(digest)
    const reason = (lastUsed ?? 0) >= retention.mayStaySince ? 'size' : 'unused'
    paths.push(storePath)
    reasons.push({ storePath, lastUsed, reason })
  }
  for (const digest of engine.keys('directories')) if (!castore.directories.has(digest)) counts.directories++
  for (const digest of engine.keys('blobs')) if (!castore.blobs.has(digest)) counts.lists++
  for (const [key, { storedLength }] of engine.locations()) {
    if (castore.hasContent(key)) continue
    counts.contents++
    counts.contentBytes += storedLength
  }
  const keys = function* (): Generator<StoredKey, void, undefined> {
    for (const { digest } of paths) yield { what: 'pathInfos', key: digest }
    for (const key of engine.keys('directories')) {
      if (!castore.directories.has(key)) yield { what: 'directories', key }
    }
    for (const key of engine.keys('blobs')) if (!castore.blobs.has(key)) yield { what: 'blobs', key }
    for (const key of engine.contentKeys()) if (!castore.hasContent(key)) yield { what: 'content', key }
  }
  return { report: { paths, reasons, keptPaths: kept.size, ...counts }, keys }
}

/** What is condemned and may go, by its kind. */
interface Due {
  readonly pathInfos: KeyList
  readonly directories: KeyList
  readonly blobs: KeyList
  readonly content: KeyList
}

/**
 * Removes what was condemned, as far as nobody leans on it: marks anew, from roots and from everything that is not to be
 * removed now.
 */
async function sweep(
  engine: EmbeddedStore,
  collector: Collector,
  options: CollectGarbageOptions,
  retention: Retention,
): Promise<number> {
  using _ = await collector.alone(options.signal)
  // This comes before marking: those who may lean on what is due have published all that they will.
  const upTo = collector.safeEpoch()
  const due: Due = {
    pathInfos: new KeyList(PATH_DIGEST),
    directories: new KeyList(DIGEST),
    blobs: new KeyList(DIGEST),
    content: new KeyList(DIGEST),
  }
  for (const { what, key, epoch } of collector.condemned()) if (epoch <= upTo) due[what].push(key)
  const total = due.pathInfos.length + due.directories.length + due.blobs.length + due.content.length
  if (total === 0) return 0
  const marking = await mark(engine, options, retention)
  await hold(engine, marking, due)
  const { castore, paths } = marking
  const isHeld: Record<keyof Due, (key: Uint8Array) => boolean> = {
    pathInfos: (key) => paths.has(hex(key)),
    directories: (key) => castore.directories.has(key),
    blobs: (key) => castore.blobs.has(key),
    content: (key) => castore.hasContent(key),
  }
  const kinds = ['pathInfos', 'directories', 'blobs', 'content'] as const
  const held = function* (): Generator<StoredKey, void, undefined> {
    for (const what of kinds) for (const key of due[what]) if (isHeld[what](key)) yield { what, key }
  }
  await collector.lift(held())
  const garbage = {
    pathInfos: parentsFirst(without(due.pathInfos, PATH_DIGEST, isHeld.pathInfos), (key) =>
      referencesOf(engine, key),
    ),
    directories: parentsFirst(without(due.directories, DIGEST, isHeld.directories), (key) =>
      childrenOf(engine, key),
    ),
    blobs: without(due.blobs, DIGEST, isHeld.blobs),
    content: without(due.content, DIGEST, isHeld.content),
  }
  const order = function* (): Generator<StoredKey, void, undefined> {
    for (const what of kinds) for (const key of garbage[what]) yield { what, key }
  }
  const count = kinds.reduce((sum, what) => sum + garbage[what].length, 0)
  let removed = 0
  for await (const some of collector.sweep(order(), upTo)) {
    removed += some.length
    options.onProgress?.({ step: 'sweep', removed, garbage: count })
    options.signal?.throwIfAborted()
  }
  return removed
}

function without(keys: KeyList, width: number, isHeld: (key: Uint8Array) => boolean): KeyList {
  const left = new KeyList(width)
  for (const key of keys) if (!isHeld(key)) left.push(key)
  return left
}

/** Marks what is referred to by anything that is not due, garbage or not: nothing that stays may refer to what goes. */
async function hold(engine: EmbeddedStore, marking: Marking, due: Due): Promise<void> {
  const { castore, paths } = marking
  const duePaths = new Set(Array.from(due.pathInfos, hex))
  for (const digest of engine.keys('pathInfos')) {
    const key = hex(digest)
    if (paths.has(key) || duePaths.has(key)) continue
    const info = pathInfo(engine, digest)
    const open: Uint8Array[] = []
    if (info !== undefined) await marking.refersTo(info, open)
    for (const reference of open) await marking.path(reference)
  }
  const dueDirectories = setOf(due.directories)
  for (const digest of engine.keys('directories')) {
    if (castore.directories.has(digest) || dueDirectories.has(digest)) continue
    const encoded = engine.get('directories', digest)
    if (encoded !== undefined) castore.children(encoded)
    await castore.run()
  }
  const dueBlobs = setOf(due.blobs)
  castore.chunks((digest) => !dueBlobs.has(digest))
}

function setOf(digests: Iterable<Uint8Array>): DigestSet {
  const set = new DigestSet()
  for (const digest of digests) set.add(digest)
  return set
}

function referencesOf(engine: EmbeddedStore, digest: Uint8Array): Uint8Array[] {
  return pathInfo(engine, digest)?.references.map((reference) => reference.digest) ?? []
}

function childrenOf(engine: EmbeddedStore, digest: Uint8Array): Uint8Array[] {
  const encoded = engine.get('directories', digest)
  const children: Uint8Array[] = []
  if (encoded === undefined) return children
  eachChild(encoded, (kind, at) => {
    if (kind === 'directory') children.push(encoded.subarray(at, at + DIGEST))
  })
  return children
}

/** @param sums what it adds to */
async function compact(
  collector: Collector,
  { share, maxFreed, signal, onProgress }: CollectGarbageOptions,
  sums: { freedBytes: number; damagedSegments: number },
): Promise<void> {
  const limit = maxFreed === undefined ? undefined : Math.max(0, maxFreed - sums.freedBytes)
  sums.damagedSegments = 0
  for await (const { removed, copied, damaged } of collector.compact({ share, maxFreed: limit, signal })) {
    sums.freedBytes += removed - copied
    if (damaged) sums.damagedSegments++
    onProgress?.({ step: 'compact', freedBytes: sums.freedBytes })
  }
}
