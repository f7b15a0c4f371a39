import type { CallOptions } from '../call-options.js'
import { CastoreError } from '../errors.js'
import { assertGetOptions, assertKey, assertMaxSize, assertPrefix, rangeLength } from './keys.js'
import type { GetObjectOptions, ObjectMeta, ObjectStore } from './object-store.js'

/** Keeps objects in this process' memory, without a bound: for tests, and for `objectstore+memory:` (spec 02 section 16.4). */
export class MemoryObjectStore implements ObjectStore {
  readonly name = 'memory'
  readonly #objects = new Map<string, Uint8Array>()
  #closed = false

  async head(key: string, options: CallOptions = {}): Promise<ObjectMeta | undefined> {
    this.#begin(options)
    assertKey(key)
    const content = this.#objects.get(key)
    return content && { key, size: content.length }
  }

  async get(key: string, options: GetObjectOptions = {}): Promise<Uint8Array | undefined> {
    this.#begin(options)
    assertKey(key)
    assertGetOptions(options)
    const content = this.#objects.get(key)
    if (content === undefined) return undefined
    const { range, maxSize } = options
    const length = rangeLength(range, content.length)
    assertMaxSize(this.name, key, length, maxSize)
    const start = range?.offset ?? 0
    return content.slice(start, start + length)
  }

  async put(key: string, content: Uint8Array, options: CallOptions = {}): Promise<void> {
    this.#begin(options)
    assertKey(key)
    this.#objects.set(key, new Uint8Array(content))
  }

  async putIfAbsent(key: string, content: Uint8Array, options: CallOptions = {}): Promise<boolean> {
    this.#begin(options)
    assertKey(key)
    if (this.#objects.has(key)) return false
    this.#objects.set(key, new Uint8Array(content))
    return true
  }

  async replace(
    key: string,
    expected: Uint8Array,
    content: Uint8Array,
    options: CallOptions = {},
  ): Promise<boolean> {
    this.#begin(options)
    assertKey(key)
    const found = this.#objects.get(key)
    if (found === undefined || Buffer.compare(found, expected) !== 0) return false
    this.#objects.set(key, new Uint8Array(content))
    return true
  }

  async *list(prefix: string, options: CallOptions = {}): AsyncIterable<ObjectMeta> {
    this.#begin(options)
    assertPrefix(prefix)
    for (const [key, content] of this.#objects) {
      if (!key.startsWith(prefix)) continue
      yield { key, size: content.length }
      options.signal?.throwIfAborted()
    }
  }

  async delete(key: string, options: CallOptions = {}): Promise<void> {
    this.#begin(options)
    assertKey(key)
    this.#objects.delete(key)
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#objects.clear()
  }

  #begin({ signal }: CallOptions): void {
    signal?.throwIfAborted()
    if (this.#closed) throw new CastoreError('closed', `the object store is closed (${this.name})`)
  }
}
