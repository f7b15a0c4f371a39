import type { Reply } from './exchange.js'
import type { RememberedNar } from './known-nars.js'

/** A narinfo that was made from an entry of the store. */
export interface CachedNarInfo {
  /** What it was made from: while that is the same, so is the narinfo. */
  readonly entry: Uint8Array
  readonly reply: Reply & { readonly body: string }
  readonly nar: RememberedNar
}

/** What the objects around the bytes of an entry take, in bytes. */
const OVERHEAD = 1024

/** The narinfo files that were asked for last, as long as the store has the same. */
export class NarInfoCache {
  readonly #entries = new Map<string, CachedNarInfo>()
  readonly #capacity: number
  #size = 0

  /** @param capacity in bytes, of all that is kept */
  constructor(capacity: number) {
    this.#capacity = capacity
  }

  /**
   * @param key of the store path
   * @param entry what the store has now
   */
  get(key: string, entry: Uint8Array): CachedNarInfo | undefined {
    const cached = this.#entries.get(key)
    if (cached === undefined) return undefined
    this.#entries.delete(key)
    if (Buffer.compare(cached.entry, entry) !== 0) {
      this.#size -= sizeOf(cached)
      return undefined
    }
    this.#entries.set(key, cached)
    return cached
  }

  /** Keeps one that {@link get} has not. */
  set(key: string, cached: CachedNarInfo): void {
    this.#entries.set(key, cached)
    this.#size += sizeOf(cached)
    for (const [oldest, old] of this.#entries) {
      if (this.#size <= this.#capacity) return
      this.#entries.delete(oldest)
      this.#size -= sizeOf(old)
    }
  }
}

function sizeOf({ entry, reply }: CachedNarInfo): number {
  return entry.length + reply.body.length + OVERHEAD
}
