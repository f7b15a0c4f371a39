import type { PathInfo } from './path-info.js'

/** Finds path infos by the digest of their store path (spec 07 section 5). Safe for concurrent calls. */
export interface PathInfoService {
  /**
   * @param digest the 20 bytes of a store path's digest
   * @returns undefined when there is none
   * @throws StoreError `data-loss` when what is stored cannot be read
   */
  get(digest: Uint8Array): Promise<PathInfo | undefined>

  has(digest: Uint8Array): Promise<boolean>

  /**
   * Stores a path info. Of the same contents, signatures that are there already are kept, and what this one does not
   * say. One that is damaged is replaced.
   *
   * @returns what is stored, once it is durable
   * @throws StoreError `already-exists` when the store path has other contents, or another name
   */
  put(info: PathInfo): Promise<PathInfo>

  /** All path infos, in the order of their digests. */
  list(): AsyncIterable<PathInfo>

  /** Lets go of what the service holds. */
  close?(): Promise<void>
}
