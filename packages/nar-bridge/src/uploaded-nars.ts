import { B3Digest, decodeAnonymousNode, encodeNode, type Node } from '@neve/castore-model'
import { LruMap } from '@neve/castore-services'
import type { ObjectStore } from '@neve/castore-services/object-store'
import { HttpError } from './http-error.js'
import type { NarForm } from './nar-form.js'

/** A NAR that a client put, under the name that it chose. */
export interface UploadedNar {
  /** Of the file: `0h40zg6h….nar.xz`. */
  readonly name: string
  readonly form: NarForm
  /** Length in bytes, and SHA-256, of the file as it came. */
  readonly fileSize: bigint
  readonly fileHash: Uint8Array
  readonly node: Node
  readonly narSize: bigint
  readonly narSha256: Uint8Array
  /** The file itself, where it was kept because its form is too dear to make again. */
  readonly file?: B3Digest | undefined
}

/** How many to remember, beside those that are stored. */
const REMEMBERED = 20_000
/** No record is longer, in bytes. */
const MAX_RECORD = 16 * 1024
const NAMELESS = new Uint8Array(0)

/**
 * The names under which NARs were put. Nix remembers them, and asks for them for as long as it remembers. A NAR that no
 * narinfo has named yet is only pending: see {@link expire}. Records are durable before a put is answered.
 */
export class UploadedNars {
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
      const { nar } = decodeRecord(name, bytes)
      this.#remembered.set(name, nar)
      return nar
    }
    return undefined
  }

  /** Records a NAR that nothing names yet. */
  async add(nar: UploadedNar): Promise<void> {
    await this.#objects.put(pendingKey(nar.name), encodeRecord(nar))
    this.#remembered.set(nar.name, nar)
  }

  /** Keeps a NAR for good, now that a narinfo names it. */
  async adopt(nar: UploadedNar): Promise<void> {
    await this.#objects.putIfAbsent(adoptedKey(nar.name), encodeRecord(nar))
    await this.#objects.delete(pendingKey(nar.name))
  }

  /**
   * Forgets NARs that were put long ago and that no narinfo named. Their contents stay, as long as the store keeps what
   * nothing names.
   *
   * @param age milliseconds since they were put
   * @returns how many they were
   */
  async expire(age: number, now = Date.now()): Promise<number> {
    let expired = 0
    for await (const { key } of this.#objects.list(PENDING)) {
      const bytes = await this.#objects.get(key, { maxSize: MAX_RECORD })
      if (bytes === undefined) continue
      const name = key.slice(PENDING.length)
      if (now - decodeRecord(name, bytes).time < age) continue
      await this.#objects.delete(key)
      this.#remembered.delete(name)
      expired++
    }
    return expired
  }
}

const PENDING = 'nars/pending/'

function pendingKey(name: string): string {
  return `${PENDING}${name}`
}

function adoptedKey(name: string): string {
  return `nars/named/${name}`
}

function encodeRecord(nar: UploadedNar): Uint8Array {
  const record = {
    version: 1,
    time: Date.now(),
    form: nar.form,
    fileSize: `${nar.fileSize}`,
    fileHash: base64(nar.fileHash),
    node: base64(encodeNode(NAMELESS, nar.node)),
    narSize: `${nar.narSize}`,
    narSha256: base64(nar.narSha256),
    file: nar.file?.toSri(),
  }
  return Buffer.from(JSON.stringify(record))
}

function decodeRecord(name: string, bytes: Uint8Array): { readonly nar: UploadedNar; readonly time: number } {
  try {
    const record = JSON.parse(Buffer.from(bytes).toString()) as Record<string, unknown>
    const text = (key: string): string => {
      const value = record[key]
      if (typeof value !== 'string') throw new Error(`expected ${key} to be text`)
      return value
    }
    const { version, time, file } = record
    if (version !== 1 || typeof time !== 'number') throw new Error('expected version 1')
    const nar: UploadedNar = {
      name,
      form: text('form') as NarForm,
      fileSize: BigInt(text('fileSize')),
      fileHash: bytesOf(text('fileHash')),
      node: decodeAnonymousNode(bytesOf(text('node'))),
      narSize: BigInt(text('narSize')),
      narSha256: bytesOf(text('narSha256')),
      file: file === undefined ? undefined : B3Digest.parse(text('file')),
    }
    return { nar, time }
  } catch (cause) {
    throw new HttpError(500, `the record of ${name} is damaged`, {}, { cause })
  }
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64')
}

function bytesOf(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'base64'))
}
