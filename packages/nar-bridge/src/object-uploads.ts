import { LruMap } from '@neve/castore-services'
import type { ObjectStore } from '@neve/castore-services/object-store'
import { decodeUpload, encodeUpload, type UploadedNar } from './upload-record.js'
import type { UploadedNars } from './uploaded-nars.js'

/** How many to remember, beside those that are stored. */
const REMEMBERED = 20_000
/** No record is longer, in bytes. */
const MAX_RECORD = 16 * 1024
const PENDING = 'nars/pending/'

/** The names of NARs as objects: for stores that have no tables to keep them in. */
export class ObjectUploads implements UploadedNars {
  readonly #objects: ObjectStore
  readonly #remembered = new LruMap<string, UploadedNar>(REMEMBERED)

  /** @param objects stays the caller's */
  constructor(objects: ObjectStore) {
    this.#objects = objects
  }

  async find(name: string, signal: AbortSignal): Promise<UploadedNar | undefined> {
    const known = this.#remembered.get(name)
    if (known !== undefined) return known
    for (const key of [adoptedKey(name), pendingKey(name)]) {
      const bytes = await this.#objects.get(key, { signal, maxSize: MAX_RECORD })
      if (bytes === undefined) continue
      const { nar } = decodeUpload(bytes)
      this.#remembered.set(name, nar)
      return nar
    }
    return undefined
  }

  async add(receive: (session: undefined) => Promise<UploadedNar>): Promise<void> {
    const nar = await receive(undefined)
    await this.#objects.put(pendingKey(nar.name), record(nar, false))
    this.#remembered.set(nar.name, nar)
  }

  async adopt<T>(nar: UploadedNar, name: (session: undefined) => Promise<T>): Promise<T> {
    const named = await name(undefined)
    await this.#objects.putIfAbsent(adoptedKey(nar.name), record(nar, true))
    await this.#objects.delete(pendingKey(nar.name))
    return named
  }

  async expire(age: number, now = Date.now()): Promise<number> {
    let expired = 0
    for await (const { key } of this.#objects.list(PENDING)) {
      const bytes = await this.#objects.get(key, { maxSize: MAX_RECORD })
      if (bytes === undefined) continue
      const { nar, time } = decodeUpload(bytes)
      if (now - time < age) continue
      await this.#objects.delete(key)
      this.#remembered.delete(nar.name)
      expired++
    }
    return expired
  }
}

function record(nar: UploadedNar, named: boolean): Uint8Array {
  return encodeUpload({ nar, time: Date.now(), named, cache: '' })
}

function pendingKey(name: string): string {
  return `${PENDING}${name}`
}

function adoptedKey(name: string): string {
  return `nars/named/${name}`
}
