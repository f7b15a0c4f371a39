import { type CallOptions, mapOrdered } from '@neve/castore-services'
import { ObjectHolds, type ObjectMeta, type ObjectStore } from '@neve/castore-services/object-store'
import { KeyedPathInfos } from './path-info/keyed.js'
import { checkDigest, ListFilter } from './path-info/list-filter.js'
import { ReadonlyPathInfoService } from './path-info/readonly.js'
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
  readonly #holds: ObjectHolds

  /**
   * @param store stays the caller's: the service does not close it
   * @param recordsUse false for who only looks, and stores nothing: see {@link PathInfoService.withoutUse}. Default: true
   */
  constructor(store: ObjectStore, { recordsUse = true }: { readonly recordsUse?: boolean | undefined } = {}) {
    this.#store = store
    this.#holds = new ObjectHolds(store, { recordsUse })
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
    const info = await this.#infos.get(digest, options)
    return info && (await this.#hold(Buffer.from(digest).toString('hex'), options)) ? info : undefined
  }

  async has(digest: Uint8Array, options: CallOptions = {}): Promise<boolean> {
    options.signal?.throwIfAborted()
    checkDigest(digest)
    const hex = Buffer.from(digest).toString('hex')
    const key = objectKey(hex)
    return (await this.#store.head(key, options)) !== undefined && (await this.#hold(hex, options))
  }

  /** Who asks for a path info may be about to store what refers to it: it stays for a while, with all that it needs. */
  #hold(hex: string, { signal }: CallOptions): Promise<boolean> {
    return this.#holds.hold(objectKey(hex), { signal })
  }

  async put(info: PathInfo, options: PutPathInfoOptions = {}): Promise<PathInfo> {
    const hex = Buffer.from(info.storePath.digest).toString('hex')
    for (;;) {
      const stored = await this.#infos.put(info, options)
      // It may be one that was there already, and goes in between.
      if (await this.#hold(hex, options)) return stored
    }
  }

  withoutUse(): PathInfoService {
    return new ReadonlyPathInfoService(new ObjectStorePathInfoService(this.#store, { recordsUse: false }))
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
    for await (const { digest } of pathInfoObjects(this.#store, options)) {
      if (filter.wantsDigest(digest)) keys.push(Buffer.from(digest).toString('hex'))
    }
    return keys.sort()
  }

  #load(key: string, options: CallOptions): Promise<PathInfo | undefined> {
    return readPathInfoObject(this.#store, Buffer.from(key, 'hex'), options)
  }

  #read(key: string, { signal }: CallOptions): Promise<Uint8Array | undefined> {
    return this.#store.get(objectKey(key), { signal, maxSize: MAX_SIZE })
  }
}

/** The object of a path info. */
export interface ObjectPathInfo {
  readonly digest: Uint8Array
  readonly meta: ObjectMeta
}

/** The objects of all path infos, unread; what has another name in their folder is passed over. */
export async function* pathInfoObjects(
  store: ObjectStore,
  options: CallOptions,
): AsyncGenerator<ObjectPathInfo, void, undefined> {
  for await (const meta of store.list(`${FOLDER}/`, options)) {
    const hex = meta.key.slice(meta.key.lastIndexOf('/') + 1)
    if (/^[0-9a-f]{40}$/.test(hex) && meta.key === objectKey(hex))
      yield { digest: Buffer.from(hex, 'hex'), meta }
  }
}

/** @throws StoreError `data-loss` */
export async function readPathInfoObject(
  store: ObjectStore,
  digest: Uint8Array,
  { signal }: CallOptions,
): Promise<PathInfo | undefined> {
  const key = objectKey(Buffer.from(digest).toString('hex'))
  const bytes = await store.get(key, { signal, maxSize: MAX_SIZE })
  return bytes && decodeStored(store.name, digest, bytes)
}

/** The key of the object of a digest in hex. */
function objectKey(hex: string): string {
  return `${FOLDER}/${hex.slice(0, 4)}/${hex}`
}
