import type { BlobReader, CallOptions } from '@neve/castore-services'
import type { FileContent } from './content.js'

/** What a reader in order is given is asked for in blocks of so many bytes, one of them ahead. */
const BLOCK = 1024 * 1024

/** A blob behind a reader that may be far away: who reads it in order waits for the way there only at the beginning. */
export class ReadAheadContent implements FileContent {
  readonly #reader: BlobReader
  readonly #size: number
  /** Blocks that are there, or under way, by their number: at most the one that is being read and the next. */
  readonly #blocks = new Map<number, Promise<Uint8Array>>()
  readonly #closing = new AbortController()
  #next = 0

  /** @param reader closed with this */
  constructor(reader: BlobReader) {
    this.#reader = reader
    this.#size = Number(reader.size)
  }

  async readAt(offset: number, length: number, options: CallOptions = {}): Promise<readonly Uint8Array[]> {
    const end = Math.min(offset + length, this.#size)
    if (offset >= end) return []
    const goesOn = offset > 0 && offset === this.#next
    this.#next = end
    if (goesOn) {
      const pieces = await this.#fromBlocks(offset, end, options)
      if (pieces !== undefined) return pieces
    }
    return [await this.#reader.readAt(BigInt(offset), end - offset, options)]
  }

  close(): void {
    this.#closing.abort()
    this.#blocks.clear()
    this.#reader.close().catch(() => {})
  }

  /** @returns undefined when a block could not be read: a part of it may be readable all the same */
  async #fromBlocks(
    offset: number,
    end: number,
    { signal }: CallOptions,
  ): Promise<readonly Uint8Array[] | undefined> {
    const first = Math.floor(offset / BLOCK)
    const last = Math.floor((end - 1) / BLOCK)
    const waiting = Array.from({ length: last - first + 1 }, (_, index) => this.#block(first + index))
    if ((last + 1) * BLOCK < this.#size) this.#block(last + 1)
    for (const number of this.#blocks.keys())
      if (number < first || number > last + 1) this.#blocks.delete(number)
    try {
      const blocks = await unlessAborted(Promise.all(waiting), signal)
      return blocks.map((bytes, index) => {
        const start = (first + index) * BLOCK
        return bytes.subarray(Math.max(0, offset - start), Math.min(bytes.length, end - start))
      })
    } catch {
      signal?.throwIfAborted()
      for (let number = first; number <= last; number++) this.#blocks.delete(number)
      return undefined
    }
  }

  #block(number: number): Promise<Uint8Array> {
    let block = this.#blocks.get(number)
    if (block === undefined) {
      const start = number * BLOCK
      const length = Math.min(BLOCK, this.#size - start)
      block = this.#reader.readAt(BigInt(start), length, { signal: this.#closing.signal })
      // Whoever wants it hears of it.
      block.catch(() => {})
      this.#blocks.set(number, block)
    }
    return block
  }
}

/** Many wait for one block, and each may give up without the others. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work
  const stop = new AbortController()
  const aborted = new Promise<never>((_, reject) => {
    const give = () => reject(signal.reason)
    if (signal.aborted) give()
    else signal.addEventListener('abort', give, { once: true, signal: stop.signal })
  })
  try {
    return await Promise.race([work, aborted])
  } finally {
    stop.abort()
  }
}
