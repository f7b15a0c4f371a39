import { abortable } from '../../concurrency/abortable.js'
import { ArchiveError, reasonOf } from './errors.js'

const EMPTY = new Uint8Array(0)

/** Reads a stream of pieces by the byte. One call at a time. */
export class ByteSource {
  readonly #iterator: AsyncIterator<Uint8Array>
  readonly #signal: AbortSignal | undefined
  #piece: Uint8Array = EMPTY
  #at = 0
  #ended = false
  #pulling = false
  #offset = 0

  constructor(source: AsyncIterable<Uint8Array>, signal?: AbortSignal | undefined) {
    this.#iterator = source[Symbol.asyncIterator]()
    this.#signal = signal
  }

  /** Bytes that were read so far. */
  get offset(): number {
    return this.#offset
  }

  /** Bytes that can be had without waiting. */
  get available(): number {
    return this.#piece.length - this.#at
  }

  /**
   * Some bytes, `most` at most, to be read before the next call.
   *
   * @returns undefined at the end
   * @throws ArchiveError: what the source threw, as `source` where it is none of ours; the signal's reason
   */
  async some(most: number): Promise<Uint8Array | undefined> {
    if (this.available === 0 && !(await this.#pull())) return undefined
    return this.#take(Math.min(most, this.available))
  }

  /**
   * Exactly `length` bytes, fewer only at the end of the stream. They are a copy where they do not lie in one piece;
   * read them before the next call.
   */
  async upTo(length: number): Promise<Uint8Array> {
    if (this.available >= length) return this.#take(length)
    const bytes = new Uint8Array(length)
    let filled = 0
    while (filled < length) {
      const piece = await this.some(length - filled)
      if (piece === undefined) return bytes.subarray(0, filled)
      bytes.set(piece, filled)
      filled += piece.length
    }
    return bytes
  }

  /** Passes over bytes. @returns how many there were before the end */
  async skip(length: number): Promise<number> {
    let left = length
    while (left > 0) {
      const piece = await this.some(left)
      if (piece === undefined) break
      left -= piece.length
    }
    return length - left
  }

  /** What was read last, and not used, comes again. It must be what the last call gave, and lie in one piece. */
  unread(bytes: Uint8Array): void {
    if (bytes.length === 0) return
    if (this.#at >= bytes.length && this.#piece.buffer === bytes.buffer) this.#at -= bytes.length
    else {
      const rest = this.#piece.subarray(this.#at)
      const joined = new Uint8Array(bytes.length + rest.length)
      joined.set(bytes)
      joined.set(rest, bytes.length)
      this.#piece = joined
      this.#at = 0
    }
    this.#offset -= bytes.length
  }

  /** Lets the stream go. Neither a cancelled caller waits for one that is stuck, nor one whose last call has not settled. */
  async close(): Promise<void> {
    if (this.#ended) return
    this.#ended = true
    const closing = this.#iterator.return?.().then(undefined, () => {})
    if (!this.#signal?.aborted && !this.#pulling) await closing
  }

  #take(length: number): Uint8Array {
    const bytes = this.#piece.subarray(this.#at, this.#at + length)
    this.#at += length
    this.#offset += length
    return bytes
  }

  /** @returns whether there is more */
  async #pull(): Promise<boolean> {
    this.#signal?.throwIfAborted()
    while (!this.#ended) {
      let next: IteratorResult<Uint8Array>
      try {
        this.#pulling = true
        next = await abortable(this.#iterator.next(), this.#signal)
        this.#pulling = false
      } catch (cause) {
        this.#signal?.throwIfAborted()
        this.#pulling = false
        this.#ended = true
        if (cause instanceof ArchiveError) throw cause
        throw new ArchiveError('source', `cannot read the archive: ${reasonOf(cause)}`, { cause })
      }
      if (next.done) {
        this.#ended = true
        break
      }
      if (next.value.length === 0) continue
      this.#piece = next.value
      this.#at = 0
      return true
    }
    this.#piece = EMPTY
    this.#at = 0
    return false
  }
}
