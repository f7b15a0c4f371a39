import { compareBytes } from '@neve/castore-model'
import { type CallOptions, CastoreError, mapOrdered } from '@neve/castore-services'
import { type CopyProgress, type CopyResult, copyClosure, WholeClosures } from '@neve/castore-services/copy'
import type { StorePath } from '@neve/nix-compat'
import { StoreError } from '../errors.js'
import { NarMismatchError } from '../nar-mismatch-error.js'
import { withMoreSignatures } from '../path-info/merge.js'
import type { PathInfo } from '../path-info.js'
import type { PathMetadata } from '../path-info-service.js'
import type { Store } from '../store.js'
import { referenceClosure } from './reference-closure.js'

/** Where store paths are taken from. */
export type PushSource = Pick<Store, 'blobs' | 'directories' | 'pathInfos'>

/** Where they go. */
export type PushTarget = Pick<Store, 'blobs' | 'directories' | 'pathInfos' | 'measureNar'>

/** How far a push has come. Sizes are bytes of NARs. */
export interface PushProgress {
  /** Store paths to be copied. */
  readonly paths: number
  readonly donePaths: number
  readonly bytes: number
  readonly doneBytes: number
}

/** One store path that the target has now. Sizes are in bytes. */
export interface PushedPath extends Omit<CopyResult, 'node'> {
  readonly storePath: StorePath
  /** Whether all of it was there before. */
  readonly present: boolean
}

/** Options of {@link pushClosure}. */
export interface PushClosureOptions extends CallOptions {
  /** Copy what the paths reference, too, and so on. Default: true. */
  readonly closure?: boolean | undefined
  /**
   * Look through what has a path info at the target, too, for what is missing below it. In an embedded store that is
   * always done, from its tables. Default: false.
   */
  readonly thorough?: boolean | undefined
  /**
   * Take a directory that the target has for everything below it. That is so where everybody stores in order (DESIGN
   * decision 10), and not in what is, or was, the near side of a cache. Default: false, blobs below it are asked for.
   */
  readonly trustDirectories?: boolean | undefined
  /** Have the target measure each NAR that it got, and refuse a path info that says otherwise. Default: false. */
  readonly checkNars?: boolean | undefined
  /** Store paths under way at once, 1 to 64. Default: 8. */
  readonly concurrency?: number | undefined
  /**
   * Told of each path that cannot be copied, and of those that reference it (`reference-missing`): the others are copied
   * all the same. Default: the first failure ends the push.
   */
  readonly onFailure?: ((storePath: StorePath, error: unknown) => void) | undefined
  /** Called often: keep it short. */
  readonly onProgress?: ((progress: PushProgress) => void) | undefined
}

/**
 * Copies store paths and all that they reference from one store to another. Only blobs and directories that the target
 * lacks travel. Gives each path once it is safely at the target, references first.
 *
 * A path info is put last of all that it stands for: after its contents, and after the path infos of its references. So
 * whatever interrupts a push, nothing half-present is taken for whole, and the same call goes on where this one ended, by
 * blobs and store paths. The path infos that the target has are not taken for more than they say: their contents are
 * looked for where that costs no traffic, else with `thorough`. Signatures are kept, and added to those at the target.
 *
 * Memory: what the path infos of the closure take, and for each of `concurrency` paths what {@link copyClosure} takes.
 *
 * @param roots store paths that the source has
 * @throws on iterating: StoreError `not-found`, `already-exists` when the target has other contents under a path,
 *   `nar-mismatch` with `checkNars`, `data-loss`; errors of {@link copyClosure} and of the services; the signal's reason
 */
export async function* pushClosure(
  { from, to }: { readonly from: PushSource; readonly to: PushTarget },
  roots: Iterable<StorePath>,
  options: PushClosureOptions = {},
): AsyncGenerator<PushedPath, void, undefined> {
  const { closure, concurrency = 8, signal } = options
  if (!Number.isInteger(concurrency) || concurrency < 1 || concurrency > 64) {
    throw new StoreError('invalid-input', `invalid concurrency: expected 1 to 64, got ${concurrency}`)
  }
  const infos = await referenceClosure(from.pathInfos, roots, { closure, signal })
  const push = new Push(from, to, options)
  const states = mapOrdered(infos, 32, (info, stop) => push.state(info, { signal: stop }), { signal })
  const plan: TargetState[] = []
  for await (const state of states) {
    if (state === undefined) continue
    plan.push(state)
    push.expect(state)
  }
  const paths = mapOrdered(plan, concurrency, (state, stop) => push.path(state, { signal: stop }), { signal })
  for await (const path of paths) if (path !== undefined) yield path
}

/** What the target has of a store path. */
interface TargetState {
  readonly metadata: PathMetadata
  readonly known: PathInfo | undefined
  readonly whole: boolean
}

/** Lookups and small blobs of one store path under way at once: many travel together. */
const BLOBS_AT_ONCE = 128

const NOTHING = { directories: 0, blobs: 0, bytes: 0, readBytes: 0, presentBlobs: 0 }

class Push {
  readonly #from: PushSource
  readonly #to: PushTarget
  readonly #options: PushClosureOptions
  readonly #whole: WholeClosures | undefined
  /** The paths that are under way or done, by name. */
  readonly #started = new Map<string, Promise<unknown>>()
  readonly #failed = new Set<string>()
  #paths = 0
  #donePaths = 0
  #bytes = 0
  #doneBytes = 0

  constructor(from: PushSource, to: PushTarget, options: PushClosureOptions) {
    this.#from = from
    this.#to = to
    this.#options = options
    this.#whole = WholeClosures.of(to)
  }

  /** @returns undefined when it failed, and `onFailure` was told */
  state(metadata: PathMetadata, options: CallOptions): Promise<TargetState | undefined> {
    return this.#attempt(metadata, () => this.#state(metadata, options), options)
  }

  /** @throws StoreError `already-exists` */
  async #state(metadata: PathMetadata, options: CallOptions): Promise<TargetState> {
    const known = await this.#known(metadata, options)
    if (known === undefined) return { metadata, known, whole: false }
    const { storePath } = metadata
    if (!known.storePath.equals(storePath) || compareBytes(known.narSha256, metadata.narSha256) !== 0) {
      const other = known.storePath.equals(storePath) ? 'with another NAR hash' : `as ${known.storePath}`
      throw new StoreError('already-exists', `the target has ${storePath.toAbsolute()} ${other}`)
    }
    const whole =
      this.#whole === undefined ? this.#options.thorough !== true : await this.#whole.has(known.node, options)
    return { metadata, known, whole }
  }

  /** What the target has; one that cannot be read is as good as none: putting it heals it. */
  async #known({ storePath }: PathMetadata, options: CallOptions): Promise<PathInfo | undefined> {
    try {
      return await this.#to.pathInfos.get(storePath.digest, options)
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'data-loss') return undefined
      throw error
    }
  }

  expect({ metadata, whole }: TargetState): void {
    if (whole) return
    this.#paths++
    this.#bytes += Number(metadata.narSize)
    this.#tell(0)
  }

  /**
   * Copies what is missing of a path; called for those that it references before.
   *
   * @returns undefined when it failed, and `onFailure` was told
   */
  path(state: TargetState, options: CallOptions): Promise<PushedPath | undefined> {
    const pushed = this.#attempt(state.metadata, () => this.#path(state, options), options)
    // Whoever waits for it handles its failure, too.
    pushed.catch(() => {})
    this.#started.set(state.metadata.storePath.toString(), pushed)
    return pushed
  }

  async #path(state: TargetState, options: CallOptions): Promise<PushedPath> {
    const { storePath, references } = state.metadata
    const { info, result } = await this.#contents(state, options)
    const others = references.filter((reference) => !reference.equals(storePath))
    await Promise.all(others.map((reference) => this.#started.get(reference.toString())))
    const missing = others.find((reference) => this.#failed.has(reference.toString()))
    if (missing !== undefined) {
      const detail = `${storePath.toAbsolute()} was not copied: it references ${missing.toAbsolute()}`
      throw new StoreError('reference-missing', detail)
    }
    if (info !== undefined) await this.#to.pathInfos.put(info, options)
    this.#tell(0)
    return result
  }

  /** Does a part of what a path needs; a failure is `onFailure`'s, if there is one and nobody called it off. */
  async #attempt<T>(
    { storePath }: PathMetadata,
    work: () => Promise<T>,
    { signal }: CallOptions,
  ): Promise<T | undefined> {
    try {
      return await work()
    } catch (error) {
      const { onFailure } = this.#options
      if (onFailure === undefined || signal?.aborted) throw error
      this.#failed.add(storePath.toString())
      onFailure(storePath, error)
      return undefined
    }
  }

  /** @returns `info`, which is to be put once the path infos of the references are there */
  async #contents(
    { metadata, known, whole }: TargetState,
    options: CallOptions,
  ): Promise<{ readonly info: PathInfo | undefined; readonly result: PushedPath }> {
    const { storePath, narSize } = metadata
    if (whole && known !== undefined) {
      const info = withMoreSignatures(known, metadata)
      return { info, result: { storePath, present: true, ...NOTHING } }
    }
    const info = await this.#from.pathInfos.get(storePath.digest, options)
    if (info === undefined || !info.storePath.equals(storePath)) {
      throw new StoreError('not-found', `${storePath.toAbsolute()} is not in the source any more`)
    }
    let done = 0
    const onProgress = ({ doneBytes }: CopyProgress): void => {
      const now = Math.min(doneBytes, Number(narSize))
      this.#tell(now - done)
      done = now
    }
    const { node, ...counts } = await this.#copy(info, { ...options, onProgress })
    if (this.#options.checkNars === true) await this.#checkNar(info, options)
    this.#donePaths++
    this.#tell(Number(narSize) - done)
    const present = known !== undefined && counts.blobs === 0 && counts.directories === 0
    return { info, result: { storePath, present, ...counts } }
  }

  async #copy(
    { storePath, node }: PathInfo,
    options: CallOptions & { readonly onProgress: (progress: CopyProgress) => void },
  ): Promise<CopyResult> {
    const thorough = this.#options.trustDirectories !== true
    try {
      return await copyClosure({ from: this.#from, to: this.#to }, node, {
        ...options,
        concurrency: BLOBS_AT_ONCE,
        thorough,
        whole: this.#whole,
      })
    } catch (error) {
      options.signal?.throwIfAborted()
      if (!(error instanceof CastoreError) || error.code !== 'not-found') throw error
      const detail = `${storePath.toAbsolute()}: ${error.message}`
      throw new StoreError('data-loss', detail, undefined, { cause: error })
    }
  }

  async #checkNar({ storePath, node, narSize, narSha256 }: PathInfo, { signal }: CallOptions): Promise<void> {
    const measure = await this.#to.measureNar(node, signal === undefined ? {} : { signal })
    const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
    if (measure.narSize !== narSize) {
      throw new NarMismatchError('size', `${narSize} bytes of ${storePath}`, `${measure.narSize}`)
    }
    if (compareBytes(measure.narSha256, narSha256) !== 0) {
      throw new NarMismatchError('hash', `${hex(narSha256)} of ${storePath}`, hex(measure.narSha256))
    }
  }

  #tell(bytes: number): void {
    this.#doneBytes += bytes
    this.#options.onProgress?.({
      paths: this.#paths,
      donePaths: this.#donePaths,
      bytes: this.#bytes,
      doneBytes: this.#doneBytes,
    })
  }
}
