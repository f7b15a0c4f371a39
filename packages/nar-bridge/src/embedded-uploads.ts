import { createHash } from 'node:crypto'
import type { Node } from '@neve/castore-model'
import { type EmbeddedStore, EmbeddedStoreError, type WriteSession } from '@neve/embedded-store'
import { decodeUpload, encodeUpload, type UploadedNar } from './upload-record.js'
import type { UploadedNars } from './uploaded-nars.js'

const TABLE = 'uploads'
/** How many records to pass over before others get a turn: reading them never waits. */
const RECORDS_A_TURN = 256

/**
 * The names of NARs in a table of the store that has their contents, so that one commit makes both durable, with those of
 * everybody who puts something at the same moment.
 */
export class EmbeddedUploads implements UploadedNars {
  readonly #engine: EmbeddedStore
  readonly #cache: string

  /**
   * @param engine stays the caller's
   * @param cache tells caches of one store apart
   */
  constructor(engine: EmbeddedStore, cache: string) {
    this.#engine = engine
    this.#cache = cache
  }

  async find(name: string): Promise<UploadedNar | undefined> {
    const bytes = this.#engine.get(TABLE, this.#key(name))
    if (bytes === undefined) return undefined
    const { nar } = decodeUpload(bytes)
    // A narinfo that names it would lean on contents that the collector is about to remove, or has removed.
    return this.#keeps(nar.node) ? nar : undefined
  }

  async add(receive: (session: WriteSession) => Promise<UploadedNar>): Promise<void> {
    const session = this.#engine.write()
    const nar = await receive(session)
    const key = this.#key(nar.name)
    const before = this.#engine.get(TABLE, key)
    const named = before !== undefined && decodeUpload(before).named
    session.put(TABLE, key, this.#record(nar, named))
    await session.commit()
  }

  adopt<T>(nar: UploadedNar, name: (session: WriteSession) => Promise<T>): Promise<T> {
    const session = this.#engine.write()
    session.put(TABLE, this.#key(nar.name), this.#record(nar, true))
    return name(session)
  }

  async expire(age: number, now = Date.now()): Promise<number> {
    let [expired, passed] = [0, 0]
    for (const [key, bytes] of this.#engine.entries(TABLE)) {
      if (++passed % RECORDS_A_TURN === 0) await new Promise((resolve) => setImmediate(resolve))
      const { time, named, cache } = decodeUpload(bytes)
      if (named || cache !== this.#cache || now - time < age) continue
      if (await this.#forget(key, bytes)) expired++
    }
    return expired
  }

  /** @returns false where somebody has named it, or put it again, meanwhile */
  async #forget(key: Uint8Array, record: Uint8Array): Promise<boolean> {
    const session = this.#engine.write()
    session.replace(TABLE, key, record, undefined)
    try {
      await session.commit()
      return true
    } catch (error) {
      if (error instanceof EmbeddedStoreError && error.code === 'conflict') return false
      throw error
    }
  }

  #keeps(node: Node): boolean {
    if (node.kind === 'symlink') return true
    const { bytes } = node.digest
    if (node.kind === 'directory') return this.#engine.keeps('directories', bytes)
    return node.size === 0n || this.#engine.keeps('content', bytes) || this.#engine.keeps('blobs', bytes)
  }

  #record(nar: UploadedNar, named: boolean): Uint8Array {
    return encodeUpload({ nar, time: Date.now(), named, cache: this.#cache })
  }

  #key(name: string): Uint8Array {
    return createHash('sha256').update(`${this.#cache}\0${name}`).digest()
  }
}
