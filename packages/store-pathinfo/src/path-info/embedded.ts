import { setTimeout as sleep } from 'node:timers/promises'
import { compareBytes } from '@neve/castore-model'
import type { CallOptions } from '@neve/castore-services'
import { type EmbeddedStore, EmbeddedStoreError, encodeUse, type WriteSession } from '@neve/embedded-store'
import type { PathInfo } from '../path-info.js'
import { encodePathInfo } from '../path-info-codec.js'
import type { ListPathInfosOptions, PathInfoService, PutPathInfoOptions } from '../path-info-service.js'
import { checkDigest, ListFilter } from './list-filter.js'
import { mergePathInfos } from './merge.js'
import { ReadonlyPathInfoService } from './readonly.js'
import { decodeStored } from './stored.js'
import { Turns } from './turns.js'

const TABLE = 'pathInfos'

/** How long a garbage collection is waited for, in milliseconds, and how often it is asked for. */
const PATIENCE = 30_000
const RETRY = 50

/** How many entries to pass over before others get a turn: reading them never waits. */
const ENTRIES_A_TURN = 256

/** Puts of one digest take turns, so that those of this process need not be tried again because of each other. */
const TURNS = new WeakMap<EmbeddedStore, Turns>()

/** Options of {@link EmbeddedPathInfoService.put}. */
export interface PutEmbeddedPathInfoOptions extends PutPathInfoOptions {
  /** Of the engine: what else was written in it is committed with the path info. Default: one of its own. */
  readonly session?: WriteSession | undefined
}

/**
 * Path infos in a table of an embedded store, under the digest of their store path, in the form of the wire. However
 * many processes put signatures of one store path at the same moment, all of them are kept. Each that is found is recorded
 * as used now, unless the engine is open for reading only.
 */
export class EmbeddedPathInfoService implements PathInfoService {
  /** The engine, which the service does not close. */
  readonly engine: EmbeddedStore
  readonly #turns: Turns
  readonly #recordsUse: boolean

  /** @param recordsUse false for who looks after the store: what is only looked at may still be garbage. Default: true */
  constructor(
    engine: EmbeddedStore,
    { recordsUse = true }: { readonly recordsUse?: boolean | undefined } = {},
  ) {
    this.engine = engine
    this.#recordsUse = recordsUse
    this.#turns = TURNS.get(engine) ?? new Turns()
    TURNS.set(engine, this.#turns)
  }

  withoutUse(): PathInfoService {
    return new ReadonlyPathInfoService(new EmbeddedPathInfoService(this.engine, { recordsUse: false }))
  }

  async get(digest: Uint8Array, { signal }: CallOptions = {}): Promise<PathInfo | undefined> {
    signal?.throwIfAborted()
    checkDigest(digest)
    if (this.#isHidden(digest) && !(await this.#rescue(digest, signal))) return undefined
    const bytes = this.#used(digest)
    return bytes && this.#stored(digest, bytes)
  }

  #used(digest: Uint8Array): Uint8Array | undefined {
    const bytes = this.engine.get(TABLE, digest)
    if (bytes !== undefined && this.#recordsUse) this.engine.uses.mark(digest)
    return bytes
  }

  /**
   * The entry of a store path as it is stored, to be compared with what it was before: other bytes are another path info.
   * Cheaper than {@link get} by all that decoding takes.
   *
   * @param digest of the store path, 20 bytes
   * @returns bytes that belong to the caller
   */
  entry(digest: Uint8Array): Uint8Array | undefined {
    checkDigest(digest)
    return this.#isHidden(digest) ? undefined : this.#used(digest)
  }

  /**
   * The path info that {@link entry} gave.
   *
   * @throws DataLossError
   */
  decode(digest: Uint8Array, entry: Uint8Array): PathInfo {
    return this.#stored(digest, entry)
  }

  /** Takes back that it is garbage: who asks may be about to store what leans on it. */
  async #rescue(digest: Uint8Array, signal: AbortSignal | undefined): Promise<boolean> {
    for (const until = performance.now() + PATIENCE; ; await sleep(RETRY)) {
      signal?.throwIfAborted()
      this.engine.refresh()
      if (!this.#isHidden(digest)) return true
      if (await this.engine.lift([{ what: TABLE, key: digest }])) return true
      if (performance.now() > until) return false
    }
  }

  /**
   * Whether the garbage collector is about to remove it. Who could store something that leans on it takes it for absent;
   * who only reads goes on reading.
   */
  #isHidden(digest: Uint8Array): boolean {
    return !this.engine.readOnly && this.engine.isCondemned(TABLE, digest)
  }

  async has(digest: Uint8Array, { signal }: CallOptions = {}): Promise<boolean> {
    signal?.throwIfAborted()
    checkDigest(digest)
    return !this.#isHidden(digest) && this.#used(digest) !== undefined
  }

  async put(info: PathInfo, options: PutEmbeddedPathInfoOptions = {}): Promise<PathInfo> {
    const key = Buffer.from(info.storePath.digest).toString('hex')
    return this.#turns.take(key, options, () => this.#put(info, options))
  }

  async #put(info: PathInfo, options: PutEmbeddedPathInfoOptions): Promise<PathInfo> {
    const session = options.session ?? this.engine.write()
    for (;;) {
      const merged = this.#putIn(session, info, options)
      try {
        // It can be used again when another process was quicker.
        await session.commit()
        return merged
      } catch (error) {
        if (!(error instanceof EmbeddedStoreError && error.code === 'conflict')) throw error
        options.signal?.throwIfAborted()
        this.engine.refresh()
      }
    }
  }

  #putIn(session: WriteSession, info: PathInfo, { overwrite = false }: PutPathInfoOptions): PathInfo {
    const { digest } = info.storePath
    const bytes = this.engine.get(TABLE, digest)
    const known = bytes === undefined || overwrite ? undefined : this.#soundOnly(digest, bytes)
    const merged = known === undefined ? info : mergePathInfos(known, info)
    const encoded = encodePathInfo(merged)
    if (bytes === undefined || compareBytes(bytes, encoded) !== 0 || this.#isHidden(digest)) {
      session.replace(TABLE, digest, bytes, encoded)
    }
    session.put('used', digest, encodeUse())
    return merged
  }

  async *list(options: ListPathInfosOptions = {}): AsyncGenerator<PathInfo, void, undefined> {
    const { signal } = options
    signal?.throwIfAborted()
    const filter = new ListFilter(options)
    let left = filter.limit
    let passed = 0
    if (left === 0) return
    for (const [digest, bytes] of this.engine.entries(TABLE, filter.from)) {
      if (++passed % ENTRIES_A_TURN === 0) {
        await new Promise((resolve) => setImmediate(resolve))
        signal?.throwIfAborted()
      }
      if (!filter.wantsDigest(digest) || this.#isHidden(digest)) continue
      const info = this.#stored(digest, bytes)
      if (!filter.wants(info)) continue
      yield info
      signal?.throwIfAborted()
      if (--left === 0) return
    }
  }

  #soundOnly(digest: Uint8Array, bytes: Uint8Array): PathInfo | undefined {
    try {
      return this.#stored(digest, bytes)
    } catch {
      return undefined
    }
  }

  #stored(digest: Uint8Array, bytes: Uint8Array): PathInfo {
    return decodeStored(`embedded:${this.engine.path}`, digest, bytes)
  }
}
