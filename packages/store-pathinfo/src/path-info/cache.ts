import { type CallOptions, LruMap, SingleFlight } from '@neve/castore-services'
import { StoreError } from '../errors.js'
import type { PathInfo } from '../path-info.js'
import type {
  ListPathInfosOptions,
  NarCalculationService,
  PathInfoService,
  PutPathInfoOptions,
} from '../path-info-service.js'
import { checkDigest } from './list-filter.js'

/** Options of {@link CachePathInfoService}. */
export interface CachePathInfoServiceInit {
  /** Fast, and asked first. It may lose things at any time. */
  readonly near: Pick<PathInfoService, 'get' | 'has' | 'put'>
  /** Has everything. */
  readonly far: PathInfoService
  /** How long to believe that the far side does not have one, in milliseconds; 0: not at all. Default: 0. */
  readonly negativeTtl?: number | undefined
  /** How many misses to remember. Default: 65,536. */
  readonly maxMisses?: number | undefined
  /** Told that the near side failed, which fails no call. It must not throw. Default: nobody. */
  readonly onTrouble?: ((trouble: { readonly store: 'near'; readonly error: unknown }) => void) | undefined
  /** Milliseconds that only grow. Default: the process' clock. */
  readonly now?: (() => number) | undefined
}

/**
 * Path infos of a far service, kept in a near one (spec 07 section 13.5). However many ask for one at once, the far side
 * is asked once. Puts go to the far side first; lists come from it. The services stay the caller's.
 */
export class CachePathInfoService implements PathInfoService {
  readonly #near: CachePathInfoServiceInit['near']
  readonly #far: PathInfoService
  readonly #negativeTtl: number
  readonly #onTrouble: NonNullable<CachePathInfoServiceInit['onTrouble']>
  readonly #now: () => number
  readonly #misses: LruMap<string, number>
  readonly #fetching = new SingleFlight<string, PathInfo | undefined>()
  /** Grows with each put: a miss that was found before one is not believed after it. */
  #puts = 0

  constructor({
    near,
    far,
    negativeTtl = 0,
    maxMisses = 65_536,
    onTrouble = () => {},
    now = () => performance.now(),
  }: CachePathInfoServiceInit) {
    if (!(negativeTtl >= 0)) {
      throw new StoreError('invalid-input', `invalid negativeTtl: expected 0 or more, got ${negativeTtl}`)
    }
    this.#near = near
    this.#far = far
    this.#negativeTtl = negativeTtl
    this.#misses = new LruMap(maxMisses)
    this.#onTrouble = onTrouble
    this.#now = now
  }

  get narCalculation(): NarCalculationService | undefined {
    return this.#far.narCalculation
  }

  async get(digest: Uint8Array, options: CallOptions = {}): Promise<PathInfo | undefined> {
    options.signal?.throwIfAborted()
    checkDigest(digest)
    const near = await this.#attempt(options, () => this.#near.get(digest, options))
    if (near !== undefined) return near
    const key = keyOf(digest)
    if (this.#isMissing(key)) return undefined
    return this.#fetching.run(key, (signal) => this.#fetch(key, digest, signal), options)
  }

  async has(digest: Uint8Array, options: CallOptions = {}): Promise<boolean> {
    options.signal?.throwIfAborted()
    checkDigest(digest)
    if (await this.#attempt(options, () => this.#near.has(digest, options))) return true
    const key = keyOf(digest)
    if (this.#isMissing(key)) return false
    const puts = this.#puts
    const found = await this.#far.has(digest, options)
    if (!found) this.#remember(key, puts)
    return found
  }

  async put(info: PathInfo, options: PutPathInfoOptions = {}): Promise<PathInfo> {
    const stored = await this.#far.put(info, options)
    this.#puts++
    this.#misses.delete(keyOf(info.storePath.digest))
    await this.#keep(stored, options)
    return stored
  }

  list(options?: ListPathInfosOptions): AsyncIterable<PathInfo> {
    return this.#far.list(options)
  }

  async #fetch(key: string, digest: Uint8Array, signal: AbortSignal): Promise<PathInfo | undefined> {
    const puts = this.#puts
    const info = await this.#far.get(digest, { signal })
    if (info === undefined) this.#remember(key, puts)
    else await this.#keep(info, { signal })
    return info
  }

  async #keep(info: PathInfo, { signal }: CallOptions): Promise<void> {
    // The far side decides: what the near one has under this digest may be older.
    await this.#attempt({ signal }, () => this.#near.put(info, { signal, overwrite: true }))
  }

  /** Asks the near side, whose failures are reported, no more. */
  async #attempt<T>({ signal }: CallOptions, ask: () => Promise<T>): Promise<T | undefined> {
    try {
      return await ask()
    } catch (error) {
      signal?.throwIfAborted()
      this.#onTrouble({ store: 'near', error })
      return undefined
    }
  }

  #isMissing(key: string): boolean {
    const until = this.#misses.get(key)
    return until !== undefined && this.#now() < until
  }

  #remember(key: string, puts: number): void {
    if (this.#negativeTtl > 0 && puts === this.#puts) this.#misses.set(key, this.#now() + this.#negativeTtl)
  }
}

function keyOf(digest: Uint8Array): string {
  return Buffer.from(digest).toString('hex')
}
