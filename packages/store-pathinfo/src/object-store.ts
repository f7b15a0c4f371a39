import { type CallOptions, mapOrdered } from '@neve/castore-services'
import type { ObjectStore } from '@neve/castore-services/object-store'
import { KeyedPathInfos } from './path-info/keyed.js'
import { checkDigest, ListFilter } from './path-info/list-filter.js'
import { decodeStored } from './path-info/stored.js'
import type { PathInfo } from './path-info.js'
import type { ListPathInfosOptions, PathInfoService, PutPathInfoOptions } from './path-info-service.js'

/** Besides the folders of the reference, which has no path infos in object stores (DESIGN decision 8). */
const FOLDER = 'neve/pathinfo'

/** The largest object to read, in bytes. */
const MAX_SIZE = 10 * 1024 * 1024

const DEFAULT_CONCURRENCY = 32

/**
 * Path infos in an object store, beside its blobs and directories: one object each, in the form of the wire, under
 * `neve/pathinfo/`, the first four hex digits of its digest, and the digest in hex.
 *
 * Puts of one store path by several processes at the same moment: of new ones, one wins and the others are merged with
 * it, where the store can write what is not there yet atomically; additions to a stored one are all kept where it can
 * replace under a condition, else the last one wins.
 */
export class ObjectStorePathInfoService implements PathInfoService {
  readonly #store: ObjectStore
  readonly #infos: KeyedPathInfos

  /** @param store stays the caller's: the service does not close it */
  constructor(store: ObjectStore) {
    this.#store = store
    this.#infos = new KeyedPathInfos({
      name: store.name,
      read: (key, options) => this.#read(key, options),
      writeNew: (key, bytes, options) => store.putIfAbsent(objectKey(key), bytes, options),
      write: (key, bytes, options) => store.put(objectKey(key), bytes, options),
      replace:
        store.replace &&
        ((key, expected, bytes, options) => store.replace!(objectKey(key), expected, bytes, options)),
    })
  }

  async get(digest: Uint8Array, options: CallOptions = {}): Promise<PathInfo | undefined> {
    return this.#infos.get(digest, options)
  }

  async has(digest: Uint8Array, options: CallOptions = {}): Promise<boolean> {
    options.signal?.throwIfAborted()
    checkDigest(digest)
    const key = objectKey(Buffer.from(digest).toString('hex'))
    return (await this.#store.head(key, options)) !== undefined
  }

  async put(info: PathInfo, options: PutPathInfoOptions = {}): Promise<PathInfo> {
    return this.#infos.put(info, options)
  }

  /** Holds the digests that are asked for, not the path infos. */
  async *list(options: ListPathInfosOptions = {}): AsyncGenerator<PathInfo, void, undefined> {
    const { signal } = options
    signal?.throwIfAborted()
    const filter = new ListFilter(options)
    let left = filter.limit
    if (left === 0) return
    const keys = await this.#keys(filter, { signal })
    const concurrency = Math.min(this.#store.concurrency ?? DEFAULT_CONCURRENCY, left)
    const load = (key: string, stop: AbortSignal) => this.#load(key, { signal: stop })
    for await (const info of mapOrdered(keys, concurrency, load, { signal })) {
      // It may have been removed meanwhile.
      if (info === undefined || !filter.wants(info)) continue
      yield info
      signal?.throwIfAborted()
      if (--left === 0) return
    }
  }

  /** In hex, which sorts as the bytes do. */
  async #keys(filter: ListFilter, options: CallOptions): Promise<string[]> {
    const keys: string[] = []
    for await (const { key } of this.#store.list(`${FOLDER}/`, options)) {
      const hex = key.slice(key.lastIndexOf('/') + 1)
      const ours = /^[0-9a-f]{40}$/.test(hex) && key === objectKey(hex)
      if (ours && filter.wantsDigest(Buffer.from(hex, 'hex'))) keys.push(hex)
    }
    return keys.sort()
  }

  async #load(key: string, options: CallOptions): Promise<PathInfo | undefined> {
    const bytes = await this.#read(key, options)
    return bytes && decodeStored(this.#store.name, Buffer.from(key, 'hex'), bytes)
  }

  #read(key: string, { signal }: CallOptions): Promise<Uint8Array | undefined> {
    return this.#store.get(objectKey(key), { signal, maxSize: MAX_SIZE })
  }
}

/** The key of the object of a digest in hex. */
function objectKey(hex: string): string {
  return `${FOLDER}/${hex.slice(0, 4)}/${hex}`
}
