import type { CallOptions } from '../call-options.js'
import { CastoreError } from '../errors.js'
import { assertGetOptions, assertKey, assertMaxSize, assertPrefix, rangeLength } from './keys.js'
import type { GetObjectOptions, ObjectMeta, ObjectStore } from './object-store.js'

interface StoredObject {
  readonly content: Uint8Array
  readonly modified: number
}

/** Keeps objects in this process' memory, without a bound: for tests, and for `objectstore+memory:` (spec 02 section 16.4). */
export class MemoryObjectStore implements ObjectStore {
  readonly name = 'memory'
  readonly #objects = new Map<string, StoredObject>()
  #closed = false

  async head(key: string, options: CallOptions = {}): Promise<ObjectMeta | undefined> {
    this.#begin(options)
    assertKey(key)
    const found = this.#objects.get(key)
    return found && { key, size: found.content.length, modified: found.modified }
  }

  async get(key: string, options: GetObjectOptions = {}): Promise<Uint8Array | undefined> {
    this.#begin(options)
    assertKey(key)
    assertGetOptions(options)
    const content = this.#objects.get(key)?.content
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
    this.#set(key, content)
  }

  async putIfAbsent(key: string, content: Uint8Array, options: CallOptions = {}): Promise<boolean> {
    this.#begin(options)
    assertKey(key)
    if (this.#objects.has(key)) return false
    this.#set(key, content)
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
    const found = this.#objects.get(key)?.content
    if (found === undefined || Buffer.compare(found, expected) !== 0) return false
    this.#set(key, content)
    return true
  }

  async touch(key: string, options: CallOptions = {}): Promise<boolean> {
    this.#begin(options)
    assertKey(key)
    const found = this.#objects.get(key)
    if (found !== undefined) this.#objects.set(key, { ...found, modified: Date.now() })
    return found !== undefined
  }

  async *list(prefix: string, options: CallOptions = {}): AsyncIterable<ObjectMeta> {
    this.#begin(options)
    assertPrefix(prefix)
    for (const [key, { content, modified }] of this.#objects) {
      if (!key.startsWith(prefix)) continue
      yield { key, size: content.length, modified }
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

  #set(key: string, content: Uint8Array): void {
    this.#objects.set(key, { content: new Uint8Array(content), modified: Date.now() })
  }

  #begin({ signal }: CallOptions): void {
    signal?.throwIfAborted()
    if (this.#closed) throw new CastoreError('closed', `the object store is closed (${this.name})`)
  }
}
