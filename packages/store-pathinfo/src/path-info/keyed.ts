import { compareBytes } from '@neve/castore-model'
import type { CallOptions } from '@neve/castore-services'
import { StoreError } from '../errors.js'
import type { PathInfo } from '../path-info.js'
import { encodePathInfo } from '../path-info-codec.js'
import type { PutPathInfoOptions } from '../path-info-service.js'
import { checkDigest } from './list-filter.js'
import { mergePathInfos } from './merge.js'
import { decodeStored } from './stored.js'
import { Turns } from './turns.js'

/** Bytes under the digests of store paths, in lower-case hex. */
export interface KeyedBytes {
  /** For messages. */
  readonly name: string
  read(key: string, options: CallOptions): Promise<Uint8Array | undefined>
  /** @returns whether it was written: not where there is something already */
  writeNew(key: string, bytes: Uint8Array, options: CallOptions): Promise<boolean>
  write(key: string, bytes: Uint8Array, options: CallOptions): Promise<void>
  /** @returns whether it was written: only in place of what is expected. Where there is no such thing: `write` */
  readonly replace?:
    | ((key: string, expected: Uint8Array, bytes: Uint8Array, options: CallOptions) => Promise<boolean>)
    | undefined
}

/** How often to look again at what somebody else has just written, or removed. */
const MAX_LOOKS = 50

/** What path info services over {@link KeyedBytes} have in common: reading with checks, and putting with merging. */
export class KeyedPathInfos {
  readonly #cells: KeyedBytes
  readonly #turns = new Turns()

  constructor(cells: KeyedBytes) {
    this.#cells = cells
  }

  async get(digest: Uint8Array, options: CallOptions): Promise<PathInfo | undefined> {
    options.signal?.throwIfAborted()
    checkDigest(digest)
    const bytes = await this.#cells.read(hexOf(digest), options)
    return bytes && decodeStored(this.#cells.name, digest, bytes)
  }

  async put(info: PathInfo, options: PutPathInfoOptions): Promise<PathInfo> {
    const key = hexOf(info.storePath.digest)
    return this.#turns.take(key, options, () => this.#put(key, info, options))
  }

  async #put(
    key: string,
    info: PathInfo,
    { overwrite = false, signal }: PutPathInfoOptions,
  ): Promise<PathInfo> {
    for (let look = 0; look < MAX_LOOKS; look++) {
      const bytes = await this.#readAnyway(key, { signal })
      if (bytes === undefined) {
        if (await this.#cells.writeNew(key, encodePathInfo(info), { signal })) return info
        continue
      }
      const known = overwrite ? undefined : this.#soundOnly(info.storePath.digest, bytes)
      const merged = known === undefined ? info : mergePathInfos(known, info)
      const encoded = encodePathInfo(merged)
      if (compareBytes(bytes, encoded) === 0) return merged
      const { replace, write } = this.#cells
      if (known === undefined || replace === undefined) await write(key, encoded, { signal })
      else if (!(await replace(key, bytes, encoded, { signal }))) continue
      return merged
    }
    throw new StoreError('storage', `${this.#cells.name}: ${info.storePath} changes all the time`)
  }

  /** What is there, empty when it is damaged beyond reading. */
  async #readAnyway(key: string, options: CallOptions): Promise<Uint8Array | undefined> {
    try {
      return await this.#cells.read(key, options)
    } catch (error) {
      if (error instanceof StoreError && error.code === 'data-loss') return new Uint8Array(0)
      throw error
    }
  }

  #soundOnly(digest: Uint8Array, bytes: Uint8Array): PathInfo | undefined {
    try {
      return decodeStored(this.#cells.name, digest, bytes)
    } catch {
      return undefined
    }
  }
}

function hexOf(digest: Uint8Array): string {
  return Buffer.from(digest).toString('hex')
}
