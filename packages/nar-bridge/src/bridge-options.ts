import type { SecretKey } from '@neve/nix-compat'
import type { Store } from '@neve/store-pathinfo'
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
  /** Told of failures that are not a client's. Default: nobody is. */
  readonly onError?: ((request: BridgeRequest, error: unknown) => void) | undefined
}
