import type { B3Digest } from '@neve/castore-model'
import type { StorePath } from '@neve/nix-compat'

/**
 * What is wrong:
 * - `path-info-missing`, `path-info-damaged`: that of the store path itself
 * - `reference-missing`: a store path that it references has no path info
 * - `directory-missing`, `directory-damaged`
 * - `blob-missing`, `blob-damaged`; of blobs in chunks `chunk-list-damaged`, `chunk-missing`, `chunk-damaged`
 * - `wrong-size`: a node says another size than its directory or blob has
 * - `nar-mismatch`: all of it is there and sound, and makes another NAR than the path info says
 */
export type DamageKind =
  | 'path-info-missing'
  | 'path-info-damaged'
  | 'reference-missing'
  | 'directory-missing'
  | 'directory-damaged'
  | 'blob-missing'
  | 'blob-damaged'
  | 'chunk-list-damaged'
  | 'chunk-missing'
  | 'chunk-damaged'
  | 'wrong-size'
  | 'nar-mismatch'

/** One thing that is wrong, wherever it is. */
export interface Fault {
  readonly kind: DamageKind
  /** What is missing or damaged: a directory, blob or chunk. Undefined where it has no such digest. */
  readonly digest: B3Digest | undefined
  /** In words, with expected and actual. */
  readonly detail: string
}

/** One thing that is wrong with a store path, or with what none has. */
export interface Damage extends Fault {
  /** Undefined when the path info that would tell it cannot be read, and for what no store path has. */
  readonly storePath: StorePath | undefined
  /** Where it is below the store path, empty for the root: the first place where it was met. Names are any bytes. */
  readonly path: Uint8Array
  /** Whether it was mended, and found sound afterwards. */
  readonly repaired: boolean
  /** Whether it was not mended, and is marked as missing: see {@link VerifyPathsOptions.mark}. */
  readonly marked: boolean
}

/** What was found out about one store path, or about everything that none has. */
export interface VerifiedPath {
  /** The digest of the store path, 20 bytes; undefined for what no store path has. */
  readonly storePathDigest: Uint8Array | undefined
  readonly storePath: StorePath | undefined
  /** In the order in which it was met; nothing when all is well. */
  readonly damages: readonly Damage[]
  /** Different directories that were checked for it. */
  readonly directories: number
  /** Different blobs that were checked for it: not again those that were sound in another store path. */
  readonly blobs: number
  /** The bytes of these blobs. */
  readonly bytes: number
}
