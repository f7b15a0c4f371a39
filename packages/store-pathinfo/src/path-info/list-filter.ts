import { compareBytes } from '@neve/castore-model'
import { encodeNixbase32 } from '@neve/nix-compat'
import { StoreError } from '../errors.js'
import type { PathInfo } from '../path-info.js'
import type { ListPathInfosOptions } from '../path-info-service.js'

const HASH_CHARACTERS = 32

/** What {@link ListPathInfosOptions} ask for, checked. */
export class ListFilter {
  readonly #prefix: string
  readonly #after: Uint8Array | undefined
  /** Infinite when there is none. */
  readonly limit: number

  /** @throws StoreError `invalid-input` */
  constructor({ prefix = '', after, limit = Number.POSITIVE_INFINITY }: ListPathInfosOptions) {
    if (after !== undefined) checkDigest(after)
    if (limit !== Number.POSITIVE_INFINITY && !(Number.isSafeInteger(limit) && limit >= 0)) {
      throw new StoreError('invalid-input', `invalid limit: expected a whole number, got ${limit}`)
    }
    this.#prefix = prefix
    this.#after = after
    this.limit = limit
  }

  /** Whether a path info with this digest may be wanted: all of it that can be told without its name. */
  wantsDigest(digest: Uint8Array): boolean {
    if (this.#after !== undefined && compareBytes(digest, this.#after) <= 0) return false
    const hash = this.#prefix.slice(0, HASH_CHARACTERS)
    return hash === '' || encodeNixbase32(digest).startsWith(hash)
  }

  wants({ storePath }: PathInfo): boolean {
    return this.wantsDigest(storePath.digest) && storePath.toString().startsWith(this.#prefix)
  }

  /** The first digest that may be wanted. */
  get from(): Uint8Array | undefined {
    return this.#after
  }
}

/** @throws StoreError `invalid-input` */
export function checkDigest(digest: Uint8Array): void {
  if (digest.length === 20) return
  throw new StoreError('invalid-input', `a store path's digest has 20 bytes, got ${digest.length}`)
}
