import { setImmediate as nextTurn } from 'node:timers/promises'
import { B3Digest, compareBytes, type FileNode } from '@neve/castore-model'
import { type CallOptions, mapOrdered } from '@neve/castore-services'
import { DigestSet } from '@neve/castore-services/gc'
import { encodeNixbase32, type StorePath } from '@neve/nix-compat'
import { StoreError } from '../errors.js'
import { calculateNar } from '../measure-nar.js'
import type { PathInfo } from '../path-info.js'
import type { PushSource } from '../push/push-closure.js'
import type { Store } from '../store.js'
import { allPathDigests } from './all-paths.js'
import { faultOf } from './check-blob.js'
import { ContentCheck, ContentChecks } from './content-check.js'
import type { Damage, Fault, VerifiedPath } from './damage.js'
import { LooseContent } from './loose-content.js'
import { markDamaged } from './mark-damaged.js'
import { checkTreeQuickly, type QuickTree } from './quick-tree.js'
import { Repair } from './repair.js'
import { SoundDigests } from './sound-digests.js'
import { Throttle } from './throttle.js'
import { type CheckedTree, type PlacedFile, TreeCheck } from './tree-check.js'
import { withoutUse } from './without-use.js'

/** How far a verification has come. */
export interface VerifyProgress {
  readonly paths: number
  /** Of blobs that were checked. */
  readonly bytes: number
}

/** Options of {@link verifyPaths}. */
export interface VerifyPathsOptions extends CallOptions {
  /** Render each NAR, too, and compare its size and hash with the path info. Default: false. */
  readonly nar?: boolean | undefined
  /**
   * After the store paths check what none of them has: all other directories, blobs and chunks of an embedded store. Other
   * stores cannot tell. Default: false.
   */
  readonly loose?: boolean | undefined
  /** Look for the path infos of references, too. Default: false. */
  readonly references?: boolean | undefined
  /** Take what is missing or damaged from these stores, the first that has it. Default: nothing is mended. */
  readonly repairFrom?: readonly PushSource[] | undefined
  /**
   * Mark what is damaged and was not mended as missing, in an embedded store: readers are told that it is missing, and
   * importers store it anew. Default: false.
   */
  readonly mark?: boolean | undefined
  /** The most bytes of blobs to read in a second. Default: no limit. */
  readonly bandwidth?: number | undefined
  /**
   * Blobs that are checked at once, 1 to 256; in an embedded store as many as there are
   * threads. Default: 16.
   */
  readonly concurrency?: number | undefined
  /** Called often: keep it short. */
  readonly onProgress?: ((progress: VerifyProgress) => void) | undefined
}

/** Digests of directories, and of blobs, that are remembered as sound: some 36 bytes each. */
const MOST_REMEMBERED = 2_000_000
/** Store paths under way at once: many are small. */
const PATHS_AT_ONCE = 4
/** Directories that are looked at before others get a turn. */
const A_TURN = 1024
const NOWHERE = new Uint8Array(0)

/**
 * Checks that everything that store paths stand for is there and sound: path info, root, directories, blobs by the chunk,
 * and the NAR if asked for. Gives each path when it was checked, in the order given, with all that is wrong, and what no
 * path has at the end, if asked for. What seems wrong is looked at a second time before it is called damaged. What several
 * paths share is read once.
 *
 * With `repairFrom`, what is missing or damaged is taken from there, looked at again, and told as `repaired`; nothing else
 * is written, unless `mark` is set.
 *
 * In an embedded store threads read and hash, in the order of the walk. Where a path is not sound as a whole, it is walked
 * through again to tell what is wrong with it, and where.
 *
 * Memory: 36 bytes for each of 2 million directories and blobs, and for those of one path, for each of four paths; what
 * `concurrency` blobs take; with `loose` 36 bytes for each directory, blob and chunk of the store.
 *
 * @param targets store paths, or their digests of 20 bytes
 * @throws on iterating: errors of services that say nothing of what is stored (`unavailable`, `closed`, …); the signal's
 *   reason
 */
export async function* verifyPaths(
  store: Store,
  targets: Iterable<StorePath | Uint8Array> | AsyncIterable<StorePath | Uint8Array>,
  options: VerifyPathsOptions = {},
): AsyncGenerator<VerifiedPath, void, undefined> {
  const { concurrency = 16, signal } = options
  if (!Number.isInteger(concurrency) || concurrency < 1 || concurrency > 256) {
    throw new StoreError('invalid-input', `invalid concurrency: expected 1 to 256, got ${concurrency}`)
  }
  const verification = new Verification(store, options, concurrency)
  const path = (target: StorePath | Uint8Array, stop: AbortSignal) =>
    verification.path(target, { signal: stop })
  try {
    yield* mapOrdered(targets, PATHS_AT_ONCE, path, { signal })
    if (options.loose === true) yield* verification.loose({ signal })
  } finally {
    await verification.close()
  }
}

/** The last digest that comes before; undefined before the first. */
function digestBefore(digest: Uint8Array): Uint8Array | undefined {
  const number = BigInt(`0x${Buffer.from(digest).toString('hex')}`)
  if (number === 0n) return undefined
  return Buffer.from((number - 1n).toString(16).padStart(2 * digest.length, '0'), 'hex')
}

class Verification {
  readonly #store: Store
  readonly #options: VerifyPathsOptions
  readonly #concurrency: number
  readonly #repair: Repair | undefined
  readonly #mark: (fault: Fault) => Promise<boolean>
  readonly #throttle: Throttle
  readonly #checks: ContentChecks | undefined
  /** The store, to be looked at. */
  readonly #source: PushSource
  readonly #known: SoundDigests
  /** Store paths of which all that they have is known to be sound. */
  readonly #soundPaths = new DigestSet()
  #paths = 0
  #bytes = 0

  constructor(store: Store, options: VerifyPathsOptions, concurrency: number) {
    this.#store = store
    this.#options = options
    this.#concurrency = Math.max(1, Math.ceil(concurrency / PATHS_AT_ONCE))
    const { repairFrom = [] } = options
    this.#repair = repairFrom.length === 0 ? undefined : new Repair(store, repairFrom)
    this.#throttle = new Throttle(options.bandwidth)
    const { engine } = store
    this.#checks = engine && new ContentChecks(engine, this.#throttle)
    // What has been seen of the whole store is not to be looked at again as what no store path has.
    this.#known = new SoundDigests(
      options.loose === true && engine !== undefined ? Number.POSITIVE_INFINITY : MOST_REMEMBERED,
    )
    this.#source = withoutUse(store)
    this.#mark = async (fault) => options.mark === true && engine !== undefined && markDamaged(engine, fault)
  }

  async close(): Promise<void> {
    await this.#checks?.close()
  }

  async path(target: StorePath | Uint8Array, options: CallOptions): Promise<VerifiedPath> {
    const verified = await this.#path(target, options)
    if (verified.damages.length === 0 || !(target instanceof Uint8Array)) return verified
    // Garbage may be collected meanwhile: path infos go before what they refer to.
    return (await this.#isGone(target, options)) ? { ...verified, damages: [] } : verified
  }

  /** Whether the store neither has the path info of a digest nor lists it, any more. */
  async #isGone(digest: Uint8Array, { signal }: CallOptions): Promise<boolean> {
    this.#store.engine?.refresh()
    const found = await this.#look(digest, undefined, { signal })
    if (!('kind' in found) || found.kind !== 'path-info-missing') return false
    try {
      for await (const listed of allPathDigests(this.#store, { after: digestBefore(digest), signal })) {
        return compareBytes(listed, digest) !== 0
      }
      return true
    } catch (error) {
      if (error instanceof StoreError && error.code === 'unsupported') return false
      throw error
    }
  }

  async #path(target: StorePath | Uint8Array, options: CallOptions): Promise<VerifiedPath> {
    const digest = target instanceof Uint8Array ? target : target.digest
    const named = target instanceof Uint8Array ? undefined : target
    const damages: Damage[] = []
    const told = (fault: Fault, repaired: boolean, storePath = named): void => {
      damages.push({ ...fault, storePath, path: new Uint8Array(0), repaired, marked: false })
    }
    const info = await this.#pathInfo(digest, named, told, options)
    if (info === undefined) {
      return { storePathDigest: digest, storePath: named, damages, directories: 0, blobs: 0, bytes: 0 }
    }
    const { storePath } = info
    const quick = await this.#quickly(info, options)
    const tree = await this.#tree(info, quick, options)
    damages.push(...tree.damages)
    const whole = tree.damages.every(({ repaired }) => repaired)
    if (whole && this.#options.nar === true) {
      const fault = await this.#nar(this.#source, info, options)
      if (fault !== undefined) {
        const stored = (await this.#repair?.contents(storePath, options)) === true
        const now = stored ? await this.#store.pathInfos.get(digest, options) : undefined
        told(
          fault,
          now !== undefined && (await this.#nar(this.#store, now, options)) === undefined,
          storePath,
        )
      }
    }
    if (this.#options.references === true) await this.#references(info, told, options)
    this.#paths++
    this.#tell()
    const { directories, blobs, bytes } = tree
    return { storePathDigest: digest, storePath, damages, directories, blobs, bytes }
  }

  async #pathInfo(
    digest: Uint8Array,
    named: StorePath | undefined,
    told: (fault: Fault, repaired: boolean) => void,
    options: CallOptions,
  ): Promise<PathInfo | undefined> {
    let found = await this.#look(digest, named, options)
    if ('kind' in found) found = await this.#look(digest, named, options)
    if (!('kind' in found)) return found
    const fault = found
    if ((await this.#repair?.pathInfo(digest, options)) === true) {
      found = await this.#look(digest, named, options)
    }
    told(fault, !('kind' in found))
    return 'kind' in found ? undefined : found
  }

  async #look(
    digest: Uint8Array,
    named: StorePath | undefined,
    options: CallOptions,
  ): Promise<PathInfo | Fault> {
    const shown = named?.toAbsolute() ?? encodeNixbase32(digest)
    try {
      const info = await this.#source.pathInfos.get(digest, options)
      if (info !== undefined && (named === undefined || info.storePath.equals(named))) return info
      const detail =
        info === undefined ? `${shown} is not in the store` : `${shown} is here as ${info.storePath}`
      return { kind: 'path-info-missing', digest: undefined, detail }
    } catch (error) {
      if (!(error instanceof StoreError) || error.code !== 'data-loss') throw error
      return { kind: 'path-info-damaged', digest: undefined, detail: error.message }
    }
  }

  /** What no store path has. */
  async *loose(options: CallOptions): AsyncGenerator<VerifiedPath, void, undefined> {
    const { engine } = this.#store
    const checks = this.#checks
    if (engine === undefined || checks === undefined) return
    const loose = new LooseContent(engine, this.#known)
    for await (const digest of allPathDigests(this.#store, options)) {
      if (this.#soundPaths.has(digest)) continue
      // One that cannot be read was told of before, and has nothing.
      const info = await this.#look(digest, undefined, options)
      if (!('kind' in info)) await loose.passOver(info.node, options)
    }
    const tree = this.#check({ storePath: undefined, node: undefined })
    for (const digest of loose.directories()) {
      options.signal?.throwIfAborted()
      await tree.directory(digest, NOWHERE, options)
      if (tree.directories % A_TURN === 0) await nextTurn()
    }
    const suspects: PlacedFile[] = []
    const content = new ContentCheck(checks, {
      sound: (_digests, _at, size) => {
        tree.blobs++
        tree.bytes += size
        this.#checked(size)
      },
      suspect: (digest, size) => {
        const file: FileNode = {
          kind: 'file',
          digest: B3Digest.from(digest),
          size: BigInt(size),
          executable: false,
        }
        suspects.push({ file, path: NOWHERE })
      },
    })
    const found = loose.blobs((digest, error) =>
      tree.damage(faultOf(error, 'chunk-list-damaged', digest), NOWHERE, false),
    )
    for await (const { digest, size } of found) await content.add(digest, size, options)
    await content.finish(options)
    await this.#files(tree, suspects, options)
    const damages = tree.damages.filter(
      ({ digest, repaired, marked }) => repaired || marked || digest === undefined || !loose.isGone(digest),
    )
    this.#tell()
    const { directories, blobs, bytes } = tree
    yield { storePathDigest: undefined, storePath: undefined, damages, directories, blobs, bytes }
  }

  async #quickly({ storePath, node }: PathInfo, options: CallOptions): Promise<QuickTree | undefined> {
    if (this.#checks === undefined) return undefined
    const checked = (bytes: number): void => this.#checked(bytes)
    const quick = await checkTreeQuickly(this.#checks, node, this.#known, checked, options)
    if (quick.sound && this.#options.loose === true) this.#soundPaths.add(storePath.digest)
    return quick
  }

  /** Looks closely, where it is not known yet that all is sound. */
  async #tree(info: PathInfo, quick: QuickTree | undefined, options: CallOptions): Promise<TreeCheck> {
    const tree = this.#check(info, quick)
    if (quick?.sound === true) {
      tree.directories = quick.directories
    } else {
      await this.#files(tree, tree.files(options), options)
      if (tree.damages.every(({ repaired }) => repaired)) tree.rememberDirectories()
    }
    tree.blobs += quick?.blobs ?? 0
    tree.bytes += quick?.bytes ?? 0
    return tree
  }

  #check(tree: CheckedTree, quick?: QuickTree): TreeCheck {
    return new TreeCheck(this.#source, this.#store, tree, this.#known, this.#repair, this.#mark, quick?.again)
  }

  async #files(
    tree: TreeCheck,
    files: AsyncIterable<PlacedFile> | Iterable<PlacedFile>,
    { signal }: CallOptions,
  ): Promise<void> {
    const check = async (placed: PlacedFile, stop: AbortSignal): Promise<void> => {
      const size = Number(placed.file.size)
      await this.#throttle.take(size, { signal: stop })
      await tree.blob(placed, { signal: stop })
      this.#checked(size)
    }
    // Of an embedded store these are few.
    const concurrency = this.#checks === undefined ? this.#concurrency : 1
    for await (const _checked of mapOrdered(files, concurrency, check, { signal }));
  }

  async #nar(from: PushSource, info: PathInfo, options: CallOptions): Promise<Fault | undefined> {
    const { narSize, narSha256 } = await calculateNar(from, info.node, options)
    if (narSize === info.narSize && compareBytes(narSha256, info.narSha256) === 0) return undefined
    const shown = (size: bigint, hash: Uint8Array): string =>
      `${size} bytes, sha256 ${Buffer.from(hash).toString('hex')}`
    const detail = `the NAR has ${shown(narSize, narSha256)}; expected ${shown(info.narSize, info.narSha256)}`
    return { kind: 'nar-mismatch', digest: undefined, detail }
  }

  async #references(
    { storePath, references }: PathInfo,
    told: (fault: Fault, repaired: boolean, storePath: StorePath) => void,
    options: CallOptions,
  ): Promise<void> {
    const { pathInfos } = this.#source
    for (const reference of references) {
      if (await pathInfos.has(reference.digest, options)) continue
      const stored = (await this.#repair?.reference(reference, options)) === true
      const repaired = stored && (await pathInfos.has(reference.digest, options))
      const detail = `${reference.toAbsolute()}, which it references, is not in the store`
      told({ kind: 'reference-missing', digest: undefined, detail }, repaired, storePath)
    }
  }

  #checked(bytes: number): void {
    this.#bytes += bytes
    this.#tell()
  }

  #tell(): void {
    this.#options.onProgress?.({ paths: this.#paths, bytes: this.#bytes })
  }
}
