import type { EmbeddedStore, WriteSession } from '@neve/embedded-store'
import { StoreError } from './errors.js'
import { decodePathInfo, encodePathInfo, type PathInfo } from './path-info.js'

/** Path infos in an embedded store, under the digest of their store path. */
export class EmbeddedPathInfos {
  readonly #engine: EmbeddedStore

  constructor(engine: EmbeddedStore) {
    this.#engine = engine
  }

  /**
   * @param digest the 20 bytes of a store path's digest
   * @throws StoreError `data-loss` when what is stored cannot be read
   */
  async get(digest: Uint8Array): Promise<PathInfo | undefined> {
    const bytes = this.#engine.get('pathInfos', digest)
    return bytes === undefined ? undefined : stored(bytes)
  }

  async has(digest: Uint8Array): Promise<boolean> {
    return this.#engine.has('pathInfos', digest)
  }

  /**
   * Stores a path info. Of the same contents, signatures that are there already are kept, and what this one does not
   * say. One that is damaged is replaced.
   *
   * @returns what is stored, once it is durable
   * @throws StoreError `already-exists` when the store path has other contents, or another name
   */
  async put(info: PathInfo): Promise<PathInfo> {
    const session = this.#engine.write()
    const merged = this.putIn(session, info)
    await session.commit()
    return merged
  }

  /** As {@link put}; the caller commits the session. */
  putIn(session: WriteSession, info: PathInfo): PathInfo {
    const bytes = this.#engine.get('pathInfos', info.storePath.digest)
    const known = bytes === undefined ? undefined : soundOnly(bytes)
    if (known !== undefined && !known.storePath.equals(info.storePath)) {
      throw new StoreError(
        'already-exists',
        `${info.storePath.toAbsolute()} is in the store under the name ${known.storePath.name}`,
      )
    }
    if (known !== undefined && Buffer.compare(known.narSha256, info.narSha256) !== 0) {
      throw new StoreError(
        'already-exists',
        `${info.storePath.toAbsolute()} is in the store with another NAR hash`,
      )
    }
    const merged = known === undefined ? info : merge(known, info)
    const encoded = encodePathInfo(merged)
    if (bytes === undefined || Buffer.compare(bytes, encoded) !== 0) {
      session.put('pathInfos', info.storePath.digest, encoded)
    }
    return merged
  }

  /** All path infos, in the order of their digests. */
  async *list(): AsyncIterable<PathInfo> {
    for (const [, bytes] of this.#engine.entries('pathInfos')) yield stored(bytes)
  }
}

function merge(known: PathInfo, info: PathInfo): PathInfo {
  const text = (s: { name: string; data: Uint8Array }): string =>
    `${s.name}:${Buffer.from(s.data).toString('base64')}`
  const signatures = new Map([...known.signatures, ...info.signatures].map((s) => [text(s), s]))
  return {
    ...info,
    references: info.references.length > 0 ? info.references : known.references,
    signatures: [...signatures.values()],
    deriver: info.deriver ?? known.deriver,
    ca: info.ca ?? known.ca,
  }
}

function soundOnly(bytes: Uint8Array): PathInfo | undefined {
  try {
    return decodePathInfo(bytes)
  } catch {
    return undefined
  }
}

function stored(bytes: Uint8Array): PathInfo {
  try {
    return decodePathInfo(bytes)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new StoreError('data-loss', `a stored path info is damaged: ${reason}`, undefined, { cause: error })
  }
}
