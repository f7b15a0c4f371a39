import { CastoreError } from '@neve/castore-services'
import type { GetObjectOptions, ObjectMeta, ObjectStore } from '../src/object-store-port.js'

export class MemoryObjectStore implements ObjectStore {
  readonly name = 'memory'
  readonly objects = new Map<string, Uint8Array>()
  async head(key: string, o: GetObjectOptions = {}): Promise<ObjectMeta | undefined> {
    o.signal?.throwIfAborted()
    const c = this.objects.get(key)
    return c && { key, size: c.length }
  }
  async get(key: string, o: GetObjectOptions = {}): Promise<Uint8Array | undefined> {
    o.signal?.throwIfAborted()
    const c = this.objects.get(key)
    if (c && c.length > (o.maxSize ?? Infinity)) throw new CastoreError('too-large', 'x')
    return c && new Uint8Array(c)
  }
  async put(key: string, content: Uint8Array, o: GetObjectOptions = {}) {
    o.signal?.throwIfAborted()
    this.objects.set(key, new Uint8Array(content))
  }
  async putIfAbsent(key: string, content: Uint8Array, o: GetObjectOptions = {}) {
    o.signal?.throwIfAborted()
    if (this.objects.has(key)) return false
    this.objects.set(key, new Uint8Array(content))
    return true
  }
  async *list(prefix: string) {
    for (const [key, c] of this.objects) if (key.startsWith(prefix)) yield { key, size: c.length }
  }
  async delete(key: string) {
    this.objects.delete(key)
  }
}
