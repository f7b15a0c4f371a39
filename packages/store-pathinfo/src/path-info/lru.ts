import { compareBytes } from '@neve/castore-model'
import type { CallOptions } from '@neve/castore-services'
import { StoreError } from '../errors.js'
import type { PathInfo } from '../path-info.js'
import type { ListPathInfosOptions, PathInfoService, PutPathInfoOptions } from '../path-info-service.js'
import { checkDigest, ListFilter } from './list-filter.js'
import { mergePathInfos } from './merge.js'

/** Keeps the path infos in memory that were used last, and forgets the others (spec 07 section 13.5): a near side. */
export class LruPathInfoService implements PathInfoService {
  /** What was used last comes last. */
  readonly #infos = new Map<string, PathInfo>()
  readonly #capacity: number

  /**
   * @param init.capacity the most to keep, 1 at the least
   * @throws StoreError `invalid-input`
   */
  constructor({ capacity }: { readonly capacity: number }) {
    if (!Number.isSafeInteger(capacity) || capacity < 1) {
      throw new StoreError('invalid-input', `invalid capacity: expected 1 or more, got ${capacity}`)
    }
    this.#capacity = capacity
  }

  async get(digest: Uint8Array, { signal }: CallOptions = {}): Promise<PathInfo | undefined> {
    signal?.throwIfAborted()
    checkDigest(digest)
    const key = keyOf(digest)
    const info = this.#infos.get(key)
    if (info !== undefined) this.#use(key, info)
    return info
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
    const merged = known === undefined ? info : mergePathInfos(known, info)
    this.#use(key, merged)
    if (this.#infos.size > this.#capacity) this.#infos.delete(this.#infos.keys().next().value!)
    return merged
  }

  async *list(options: ListPathInfosOptions = {}): AsyncGenerator<PathInfo, void, undefined> {
    const { signal } = options
    signal?.throwIfAborted()
    const filter = new ListFilter(options)
    const wanted = [...this.#infos.values()].filter((info) => filter.wants(info))
    wanted.sort((a, b) => compareBytes(a.storePath.digest, b.storePath.digest))
    for (const info of wanted.slice(0, filter.limit)) {
      yield info
      signal?.throwIfAborted()
    }
  }

  #use(key: string, info: PathInfo): void {
    this.#infos.delete(key)
    this.#infos.set(key, info)
  }
}

function keyOf(digest: Uint8Array): string {
  return Buffer.from(digest).toString('hex')
}
