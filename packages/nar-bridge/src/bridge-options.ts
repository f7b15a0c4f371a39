import type { ObjectStore } from '@neve/castore-services/object-store'
import type { PublicKey, SecretKey } from '@neve/nix-compat'
import type { Store } from '@neve/store-pathinfo'
import type { TokenSource } from './access.js'
import type { BridgeRequest } from './exchange.js'

/** What a bridge needs of a store. */
export type BridgeStore = Pick<
  Store,
  'blobs' | 'directories' | 'pathInfos' | 'engine' | 'nar' | 'compressedNar' | 'openNar' | 'narListing'
>

/**
 * How narinfo files offer NARs: as they are, as zstd, or as zstd where the store has frames to pass on, so that nothing
 * has to be compressed for it. NARs can be had in both forms in any case.
 */
export type NarCompression = 'auto' | 'zstd' | 'none'

/** Options of {@link narBridge}. */
export interface NarBridgeOptions {
  /** Where the cache stands among others: the lower, the earlier it is asked. Default: 39. */
  readonly priority?: number | undefined
  /** Default: `auto`. */
  readonly compression?: NarCompression | undefined
  /** Sign every narinfo that is served. Default: none. */
  readonly signKeys?: readonly SecretKey[] | undefined
  /** Refuse everything that would change something. Default: false. */
  readonly readOnly?: boolean | undefined
  /** Take only narinfo files that one of these keys signed. Default: all that are right otherwise. */
  readonly requireSignatures?: readonly PublicKey[] | undefined
  /** Serve pages for people: what the cache is, and a browser of its store. Default: true. */
  readonly page?: boolean | undefined
  /** Answer only those who have a token. Default: everybody. */
  readonly tokens?: TokenSource | undefined
  /** Where there are tokens: let everybody read, and ask for one only where something is put. Default: false. */
  readonly publicRead?: boolean | undefined
  /**
   * Files that mean nothing to a store: build logs, realisations, where debug information is; and the names under which
   * NARs were put, unless the store is an embedded one, which has them in its own tables. It stays the caller's. Default:
   * in memory, so that what is put is forgotten at the end.
   */
  readonly files?: ObjectStore | undefined
  /** Tells caches of one embedded store apart: each has its own NARs that were put. Default: the empty name. */
  readonly name?: string | undefined
  /** The largest NAR to take, in bytes, whatever it is compressed to. Default: 1 TiB. */
  readonly maxNarSize?: bigint | undefined
  /** Milliseconds after which a NAR that no narinfo has named is forgotten. Default: a day. */
  readonly uploadExpiry?: number | undefined
  /** Told of failures that are not a client's. Default: nobody is. */
  readonly onError?: ((request: BridgeRequest, error: unknown) => void) | undefined
}
