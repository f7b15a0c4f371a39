import { mergePathInfos } from './merge-path-infos.js'
import type { PathInfo } from './path-info.js'
import type { PathInfoService } from './path-info-service.js'

/** Path infos in this process' memory, without a bound. */
export class MemoryPathInfos implements PathInfoService {
  readonly #infos = new Map<string, PathInfo>()

  async get(digest: Uint8Array): Promise<PathInfo | undefined> {
    return this.#infos.get(keyOf(digest))
  }

  async has(digest: Uint8Array): Promise<boolean> {
    return this.#infos.has(keyOf(digest))
  }

  async put(info: PathInfo): Promise<PathInfo> {
    const key = keyOf(info.storePath.digest)
    const known = this.#infos.get(key)
    const merged = known === undefined ? info : mergePathInfos(known, info)
    this.#infos.set(key, merged)
    return merged
  }

  async *list(): AsyncIterable<PathInfo> {
    for (const key of [...this.#infos.keys()].sort()) yield this.#infos.get(key)!
  }
}

/** Sorts as the bytes do. */
function keyOf(digest: Uint8Array): string {
  return Buffer.from(digest).toString('hex')
}
