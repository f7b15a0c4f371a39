import type { EmbeddedStore, WriteSession } from '@neve/embedded-store'
import { StoreError } from './errors.js'
import { mergePathInfos } from './merge-path-infos.js'
import { decodePathInfo, encodePathInfo, type PathInfo } from './path-info.js'
import type { PathInfoService } from './path-info-service.js'

/** Path infos in an embedded store, under the digest of their store path. */
export class EmbeddedPathInfos implements PathInfoService {
  /** The engine, which the service does not close. */
  readonly engine: EmbeddedStore

  constructor(engine: EmbeddedStore) {
    this.engine = engine
  }

  async get(digest: Uint8Array): Promise<PathInfo | undefined> {
    const bytes = this.engine.get('pathInfos', digest)
    return bytes === undefined ? undefined : stored(bytes)
  }

  async has(digest: Uint8Array): Promise<boolean> {
    return this.engine.has('pathInfos', digest)
  }

  async put(info: PathInfo): Promise<PathInfo> {
    const session = this.engine.write()
    const merged = this.putIn(session, info)
    await session.commit()
    return merged
  }

  /** As {@link put}; the caller commits the session. */
  putIn(session: WriteSession, info: PathInfo): PathInfo {
    const bytes = this.engine.get('pathInfos', info.storePath.digest)
    const known = bytes === undefined ? undefined : soundOnly(bytes)
    const merged = known === undefined ? info : mergePathInfos(known, info)
    const encoded = encodePathInfo(merged)
    if (bytes === undefined || Buffer.compare(bytes, encoded) !== 0) {
      session.put('pathInfos', info.storePath.digest, encoded)
    }
    return merged
  }

  async *list(): AsyncIterable<PathInfo> {
    for (const [, bytes] of this.engine.entries('pathInfos')) yield stored(bytes)
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
