import type { BlobReader } from '../blob-service.js'
import type { CallOptions } from '../call-options.js'
import { CastoreError } from '../errors.js'
import { readableLength } from './read-range.js'

/** Reads a blob whose bytes are at hand. Reads are views of them. */
export class MemoryBlobReader implements BlobReader {
  readonly size: bigint
  #content: Uint8Array | undefined

  /** @param content checked already; not to be changed from now on */
  constructor(content: Uint8Array) {
    this.#content = content
    this.size = BigInt(content.length)
  }

  async readAt(offset: bigint, length: number, { signal }: CallOptions = {}): Promise<Uint8Array> {
    signal?.throwIfAborted()
    if (this.#content === undefined) throw new CastoreError('closed', 'the blob reader is already closed')
    const start = Number(offset)
    return this.#content.subarray(start, start + readableLength(this.size, offset, length))
  }

  async close(): Promise<void> {
    this.#content = undefined
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
