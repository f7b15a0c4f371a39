import { createHash } from 'node:crypto'
import { type B3Digest, decodeStatBlobResponse } from '@neve/castore-model'
import type { CallOptions } from '@neve/castore-services'
import { objectKey } from '../src/blob/object-layout.js'
import type { GetObjectOptions, ObjectStore } from '../src/object-store/object-store.js'

/** Flips a bit in the object that holds a blob, or in that of its last chunk. */
export async function damageBlob(store: ObjectStore, digest: B3Digest): Promise<void> {
  const list = await store.get(objectKey('blobs', digest))
  const chunks = list === undefined ? [] : decodeStatBlobResponse(list)
  await damageObject(store, objectKey('chunks', chunks.at(-1)?.digest ?? digest))
}

async function damageObject(store: ObjectStore, key: string): Promise<void> {
  const stored = await store.get(key)
  if (stored === undefined) throw new Error(`expected an object ${key}, got none`)
  const damaged = new Uint8Array(stored)
  damaged[damaged.length >> 1]! ^= 0x10
  await store.put(key, damaged)
}

/** Flips a bit in the object that holds a closure. */
export async function damageClosure(store: ObjectStore, root: B3Digest): Promise<void> {
  await damageObject(store, objectKey('dirs', root))
}

/** Counts the calls of a store, and may hold them up. */
export class WatchedStore implements ObjectStore {
  readonly name: string
  readonly calls: { readonly call: string; readonly key: string }[] = []
  /** Called before each call reaches the store. */
  before: (call: string, key: string) => Promise<void> | void = () => {}
  /** How many calls were under way at once, at most. */
  most = 0
  /** Bytes of contents that the store has taken. */
  written = 0
  #running = 0

  constructor(readonly inner: ObjectStore) {
    this.name = inner.name
  }

  count(call: string, prefix = ''): number {
    return this.calls.filter((made) => made.call === call && made.key.startsWith(prefix)).length
  }

  head(key: string, options?: CallOptions): ReturnType<ObjectStore['head']> {
    return this.#run('head', key, () => this.inner.head(key, options))
  }

  get(key: string, options?: GetObjectOptions): ReturnType<ObjectStore['get']> {
    return this.#run('get', key, () => this.inner.get(key, options))
  }

  put(key: string, content: Uint8Array, options?: CallOptions): Promise<void> {
    return this.#run('put', key, async () => {
      await this.inner.put(key, content, options)
      this.written += content.length
    })
  }

  /** Counts as `putIfAbsent` if it wrote, else as `found`. */
  async putIfAbsent(key: string, content: Uint8Array, options?: CallOptions): Promise<boolean> {
    const made = this.calls.length
    const written = await this.#run('putIfAbsent', key, () => this.inner.putIfAbsent(key, content, options))
    if (written) this.written += content.length
    else this.calls[made] = { call: 'found', key }
    return written
  }

  list(prefix: string, options?: CallOptions): ReturnType<ObjectStore['list']> {
    return this.inner.list(prefix, options)
  }

  delete(key: string, options?: CallOptions): Promise<void> {
    return this.#run('delete', key, () => this.inner.delete(key, options))
  }

  async #run<T>(call: string, key: string, work: () => Promise<T>): Promise<T> {
    this.calls.push({ call, key })
    this.#running++
    this.most = Math.max(this.most, this.#running)
    try {
      await this.before(call, key)
      return await work()
    } finally {
      this.#running--
    }
  }
}

/** The keys of a store, in order. */
export async function keysOf(store: ObjectStore, prefix = ''): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of store.list(prefix)) keys.push(key)
  return keys.sort()
}

/** The first bytes of SHA-256(0), SHA-256(1), … (spec 02 section 17.3). */
export function referenceBytes(length: number): Uint8Array {
  const blocks: Buffer[] = []
  for (let index = 0; index * 32 < length; index++) {
    const number = Buffer.alloc(4)
    number.writeUInt32BE(index)
    blocks.push(createHash('sha256').update(number).digest())
  }
  return new Uint8Array(Buffer.concat(blocks).subarray(0, length))
}
