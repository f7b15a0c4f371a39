import type { Node } from '@neve/castore-model'
import type { CallOptions } from '@neve/castore-services'
import type { NarMeasure } from './measure-nar.js'
import type { PathInfo } from './path-info.js'

/** What is known of a store path without its contents. */
export type PathMetadata = Omit<PathInfo, 'node'>

/** Options of {@link PathInfoService.put}. */
export interface PutPathInfoOptions extends CallOptions {
  /** Whether to replace one of other contents, instead of refusing. Then nothing is merged. Default: false. */
  readonly overwrite?: boolean | undefined
}

/** Options of {@link PathInfoService.list}. */
export interface ListPathInfosOptions extends CallOptions {
  /** Only store paths whose base name begins like this: `s66mzx`, `s66mzxpvicwk07gjbjfw9izjfa797vsw-he`. Default: all. */
  readonly prefix?: string | undefined
  /** Only digests, of 20 bytes, that come after this one: the last one of the page before. Default: all. */
  readonly after?: Uint8Array | undefined
  /** The most path infos to give: a page. Default: no limit. */
  readonly limit?: number | undefined
}

/**
 * Finds path infos by the digest of their store path (spec 07 section 5). Safe for concurrent calls.
 *
 * A cancelled call rejects with the reason of its signal. Every other rejection is a StoreError, or a CastoreError for
 * trouble of what lies below: a server that cannot be reached, a disk that is full.
 */
export interface PathInfoService {
  /**
   * Looks one up by its digest alone: whoever knows the name compares it.
   *
   * @param digest the 20 bytes of a store path's digest
   * @returns undefined when there is none
   * @throws StoreError `data-loss` when what is stored cannot be read
   */
  get(digest: Uint8Array, options?: CallOptions): Promise<PathInfo | undefined>

  /**
   * What {@link get} would find, for a service whose `get` moves contents, and this does not. Default: ask `get`.
   *
   * @throws as `get` does
   */
  metadata?(digest: Uint8Array, options?: CallOptions): Promise<PathMetadata | undefined>

  /** Whether {@link get} would find one; as cheap as the service has it. */
  has(digest: Uint8Array, options?: CallOptions): Promise<boolean>

  /**
   * Stores a path info (DESIGN decision 12). Of the same contents, signatures that are there already are kept, and what
   * this one does not say. One that is damaged is replaced.
   *
   * @returns what is stored, once it is durable
   * @throws StoreError `already-exists` when the store path has other contents, or another name; `unsupported` when the
   *   service takes none
   */
  put(info: PathInfo, options?: PutPathInfoOptions): Promise<PathInfo>

  /**
   * The path infos of a service, each once, in the order of their digests' bytes; only what comes from a gRPC server is
   * in whatever order that has, unless there is a limit. Memory does not grow with their number.
   *
   * @throws on iterating: StoreError `unsupported` when the service cannot list
   */
  list(options?: ListPathInfosOptions): AsyncIterable<PathInfo>

  /** Measures NARs where the contents are, so that they need not come here. Default: they are rendered here. */
  readonly narCalculation?: NarCalculationService | undefined

  /**
   * The same path infos for somebody who looks after the store: what is asked for there is not used, so that garbage stays
   * garbage. It cannot be written to, is not for who stores what refers to what was read, and ends with this one. Where
   * this is missing, nobody records what is used, or it cannot be told apart.
   */
  withoutUse?(): PathInfoService

  /** Lets go of what the service holds. */
  close?(): Promise<void>
}

/** Tells what a NAR would be like (spec 07 sections 5 and 8.3). */
export interface NarCalculationService {
  /**
   * @param node whose contents are stored
   * @throws StoreError `directory-not-found`, `blob-not-found`
   */
  calculateNar(node: Node, options?: CallOptions): Promise<NarMeasure>
}
