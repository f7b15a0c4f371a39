import { join } from 'node:path'
import { compareBytes, type DirectorySizes } from '@neve/castore-model'
import { type CallOptions, mapOrdered } from '@neve/castore-services'
import type { IngestProgress } from '@neve/castore-services/ingest/filesystem'
import { NixHash, type StorePath } from '@neve/nix-compat'
import { StoreError } from './errors.js'
import type { Importer, IngestedTree } from './import-path.js'
import type { NarMeasure } from './measure-nar.js'
import { NarMismatchError } from './nar-mismatch-error.js'
import { LazyPathInfoService } from './path-info/lazy.js'
import { mergePathInfos, withMoreSignatures } from './path-info/merge.js'
import type { PathInfo } from './path-info.js'
import type { PathInfoService, PathMetadata } from './path-info-service.js'
import { referencesFirst } from './references-first.js'
import type { Store } from './store.js'

/** Options of {@link Store.copyPaths}. */
export interface CopyPathsOptions extends CallOptions {
  /** The folder that has `nix/store` in it: that of a private Nix store. Default: `/`. */
  readonly root?: string | undefined
  /**
   * Whether NAR size and hash of what is read must be as described. It takes a SHA-256 of what is read anyway. Without,
   * the description is believed, and whoever gets the NAR from here may find it to be another one. Default: true.
   */
  readonly verify?: boolean | undefined
  /** Whether to go on with the others after a path that cannot be copied. Default: false. */
  readonly keepGoing?: boolean | undefined
  /** How entries are counted in the sizes of directories (DESIGN decision 2). Default: `once`. */
  readonly directorySizes?: DirectorySizes | undefined
  /** Called often: keep it short. */
  readonly onProgress?: ((storePath: StorePath, progress: IngestProgress) => void) | undefined
}

/** What became of one store path. */
export type CopiedPath =
  | {
      readonly status: 'copied'
      readonly storePath: StorePath
      readonly narSize: bigint
      /** Bytes of file content that were not in the store before. */
      readonly newBytes: number
    }
  /** It was there, with the same NAR hash: at most signatures were added. */
  | { readonly status: 'present'; readonly storePath: StorePath; readonly narSize: bigint }
  | { readonly status: 'failed'; readonly storePath: StorePath; readonly error: unknown }

/** Looked up at once. */
const LOOKUPS = 50
/** How many that are stored may wait for the disk, or for a server, while others are read. */
const WAITING = 16

/**
 * Copies store paths of the host: see {@link Store.copyPaths}. They are read one after the other, each by all threads, so
 * that their contents lie in the store as they are read back; while one is read, path infos of those before it are put.
 */
export async function* copyPaths(
  store: Store,
  importer: Importer,
  described: Iterable<PathMetadata>,
  options: CopyPathsOptions,
): AsyncGenerator<CopiedPath, void, undefined> {
  const { keepGoing = false, signal } = options
  const { pathInfos } = store
  if (pathInfos instanceof LazyPathInfoService) await pathInfos.open()
  const ordered = referencesFirst(agreeing(described), 'invalid-input')
  const lookUp = async (metadata: PathMetadata, stop: AbortSignal) => {
    const known = await pathInfos.get(metadata.storePath.digest, { signal: stop })
    return { metadata, known }
  }
  const outcomes = new Map<string, Promise<CopiedPath>>()
  const waiting: Promise<CopiedPath>[] = []
  const report = async function* (most: number): AsyncGenerator<CopiedPath> {
    while (waiting.length > most) {
      const outcome = await waiting.shift()!
      if (outcome.status === 'failed') signal?.throwIfAborted()
      yield outcome
      if (outcome.status === 'failed' && !keepGoing) throw outcome.error
    }
  }
  try {
    for await (const { metadata, known } of mapOrdered(ordered, LOOKUPS, lookUp, { signal })) {
      const begun = await begin(importer, pathInfos, metadata, known, options)
      const isSettled = typeof begun === 'object'
      const outcome = isSettled ? Promise.resolve(begun) : begun(outcomes)
      outcomes.set(metadata.storePath.toString(), outcome)
      waiting.push(outcome)
      const isLast = isSettled && begun.status === 'failed' && !keepGoing
      yield* report(isLast ? 0 : WAITING)
    }
    yield* report(0)
  } finally {
    await Promise.all(waiting)
  }
}

type Outcomes = ReadonlyMap<string, Promise<CopiedPath>>

/**
 * Does what has to be done in order: reads the path, unless it is known.
 *
 * @returns what became of it, or what does the rest: waits for the path infos of references and puts the one of this
 *   path. Neither rejects
 */
async function begin(
  importer: Importer,
  pathInfos: PathInfoService,
  metadata: PathMetadata,
  known: PathInfo | undefined,
  options: CopyPathsOptions,
): Promise<CopiedPath | ((before: Outcomes) => Promise<CopiedPath>)> {
  const { storePath, narSize } = metadata
  const failed = (error: unknown): CopiedPath => ({ status: 'failed', storePath, error })
  try {
    if (known !== undefined) {
      // Says what is wrong where they are not the same.
      mergePathInfos(known, { ...metadata, node: known.node })
      const signed = withMoreSignatures(known, metadata)
      if (signed !== undefined) await pathInfos.put(signed, { signal: options.signal })
      return { status: 'present', storePath, narSize }
    }
    const tree = await ingestDescribed(importer, metadata, options)
    return async (before) => {
      try {
        await checkReferences(metadata, before)
        await tree.put({ ...metadata, node: tree.node })
        return { status: 'copied', storePath, narSize, newBytes: tree.newBytes }
      } catch (error) {
        return failed(error)
      }
    }
  } catch (error) {
    return failed(error)
  }
}

/** Stores everything of a path but its path info. */
async function ingestDescribed(
  importer: Importer,
  metadata: PathMetadata,
  { root = '/', verify = true, directorySizes, signal, onProgress }: CopyPathsOptions,
): Promise<IngestedTree> {
  const { storePath } = metadata
  const tree = await importer.ingest(join(root, storePath.toAbsolute()), {
    directorySizes,
    signal,
    onProgress: onProgress && ((progress) => onProgress(storePath, progress)),
    // Files of a Nix store all have one time of change: what looks unchanged need not be.
    fileCache: false,
    measured: verify,
  })
  if (tree.measure !== undefined) checkMeasure(metadata, tree.measure)
  return tree
}

/** @throws NarMismatchError */
function checkMeasure(expected: PathMetadata, actual: NarMeasure): void {
  if (expected.narSize !== actual.narSize) {
    throw new NarMismatchError('size', `${expected.narSize} bytes`, `${actual.narSize}`)
  }
  if (compareBytes(expected.narSha256, actual.narSha256) === 0) return
  const [wanted, got] = [expected, actual].map(({ narSha256 }) => new NixHash('sha256', narSha256).toSri())
  throw new NarMismatchError('hash', wanted!, got!)
}

/**
 * Waits for what a path references.
 *
 * @throws StoreError `reference-missing` when one of them could not be copied
 */
async function checkReferences({ references, storePath }: PathMetadata, before: Outcomes): Promise<void> {
  for (const reference of references) {
    if (reference.equals(storePath)) continue
    const outcome = await before.get(reference.toString())
    if (outcome?.status !== 'failed') continue
    throw new StoreError(
      'reference-missing',
      `${storePath.toAbsolute()} was not copied: it references ${reference.toAbsolute()}`,
    )
  }
}

/** Each path once. @throws StoreError `invalid-input` when two descriptions of one differ */
function agreeing(described: Iterable<PathMetadata>): Iterable<PathMetadata> {
  const byDigest = new Map<string, PathMetadata>()
  for (const metadata of described) {
    const key = Buffer.from(metadata.storePath.digest).toString('hex')
    const known = byDigest.get(key)
    if (known === undefined) byDigest.set(key, metadata)
    else if (
      !known.storePath.equals(metadata.storePath) ||
      compareBytes(known.narSha256, metadata.narSha256) !== 0
    ) {
      const path = metadata.storePath.toAbsolute()
      throw new StoreError('invalid-input', `${path} is described twice, and differently`)
    }
  }
  return byDigest.values()
}
