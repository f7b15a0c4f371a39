import { compareBytes } from '@neve/castore-model'
import type { CallOptions } from '@neve/castore-services'
import type { PathInfo } from '../path-info.js'
import { decodePathInfo, encodePathInfo } from '../path-info-codec.js'
import type { ListPathInfosOptions, PathInfoService, PutPathInfoOptions } from '../path-info-service.js'
import { checkDigest, ListFilter } from './list-filter.js'
import { mergePathInfos } from './merge.js'

/** Path infos in this process' memory, without a bound. */
export class MemoryPathInfoService implements PathInfoService {
  readonly #infos = new Map<string, Uint8Array>()

  async get(digest: Uint8Array, { signal }: CallOptions = {}): Promise<PathInfo | undefined> {
    signal?.throwIfAborted()
    checkDigest(digest)
    const bytes = this.#infos.get(keyOf(digest))
    return bytes && decodePathInfo(bytes)
  }

  async has(digest: Uint8Array, { signal }: CallOptions = {}): Promise<boolean> {
    signal?.throwIfAborted()
    checkDigest(digest)
    return this.#infos.has(keyOf(digest))
  }

  async put(info: PathInfo, { signal, overwrite = false }: PutPathInfoOptions = {}): Promise<PathInfo> {
    signal?.throwIfAborted()
    const key = keyOf(info.storePath.digest)
    const known = overwrite ? undefined : this.#infos.get(key)
    const merged = known === undefined ? info : mergePathInfos(decodePathInfo(known), info)
    this.#infos.set(key, encodePathInfo(merged))
    return merged
  }

  async *list(options: ListPathInfosOptions = {}): AsyncGenerator<PathInfo, void, undefined> {
    const { signal } = options
    signal?.throwIfAborted()
    const filter = new ListFilter(options)
    const keys = [...this.#infos.keys()].map((key) => Buffer.from(key, 'hex')).sort(compareBytes)
    let left = filter.limit
    for (const key of keys) {
      if (left === 0) return
      const bytes = filter.wantsDigest(key) ? this.#infos.get(keyOf(key)) : undefined
      const info = bytes && decodePathInfo(bytes)
      if (info === undefined || !filter.wants(info)) continue
      left--
      yield info
      signal?.throwIfAborted()
    }
  }
}

function keyOf(digest: Uint8Array): string {
  return Buffer.from(digest).toString('hex')
}
