import { B3Digest } from '@neve/castore-model'
import { DigestSet } from '@neve/castore-services/gc'

const DIGEST = 32
const ENTRY = DIGEST + 8

/** Different blobs with their sizes, in some 80 bytes each. */
export class BlobList {
  /** Bytes of all of them. */
  bytes = 0n
  readonly #known = new DigestSet()
  #entries = Buffer.alloc(ENTRY * 256)

  get count(): number {
    return this.#known.size
  }

  add(digest: B3Digest, size: bigint): void {
    const at = this.count * ENTRY
    if (!this.#known.add(digest.bytes)) return
    if (at === this.#entries.length) this.#entries = Buffer.concat([this.#entries, Buffer.alloc(at)])
    this.#entries.set(digest.bytes, at)
    this.#entries.writeBigUInt64LE(size, at + DIGEST)
    this.bytes += size
  }

  has(digest: B3Digest): boolean {
    return this.#known.has(digest.bytes)
  }

  *[Symbol.iterator](): Generator<{ readonly digest: B3Digest; readonly size: bigint }> {
    for (let at = 0; at < this.count * ENTRY; at += ENTRY) {
      const digest = B3Digest.from(this.#entries.subarray(at, at + DIGEST))
      yield { digest, size: this.#entries.readBigUInt64LE(at + DIGEST) }
    }
  }
}
