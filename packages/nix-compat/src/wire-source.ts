import { WireError } from './wire-error.js'

/** The part of a web `ReadableStream` that is used where it cannot be iterated (older browsers). */
export interface ReadableStreamLike {
  getReader(): {
    read(): Promise<{ done: boolean; value?: Uint8Array | undefined }>
    cancel(): Promise<unknown>
  }
}

/** Whatever bytes can be pulled from. A `Uint8Array` stands for a stream of that one chunk. */
export type ByteInput =
  | ByteSource
  | Uint8Array
  | AsyncIterable<Uint8Array>
  | Iterable<Uint8Array>
  | ReadableStreamLike

type ChunkIterator = AsyncIterator<Uint8Array> | Iterator<Uint8Array>

const EMPTY = new Uint8Array(0)

/**
 * A stream of bytes that is pulled, chunk by chunk, and never further than a format asks for: a chunk is fetched
 * only when a byte is wanted that has not come yet, and bytes left over stay for the next reader (`rest`).
 *
 * Parsers use `window`, `buffer`, `offset` and `advance`: no promise and no copy as long as what they want lies in
 * one chunk. Chunks belong to whoever yielded them: they are read, never written, and not looked at again after
 * the next one was asked for, so that a producer may reuse its buffer.
 *
 * One reader at a time. An error of the underlying stream passes through unchanged and is raised again by every
 * later pull.
 */
export class ByteSource implements AsyncIterable<Uint8Array> {
  /** The bytes at hand: those from `offset` on have not been consumed. Read only. */
  buffer: Uint8Array = EMPTY
  /** Index in `buffer` of the next byte. Changed by `advance` only. */
  offset = 0
  #next: Uint8Array | undefined
  #start = 0
  #ended = false
  #failure: { error: unknown } | undefined
  readonly #iterator: ChunkIterator

  private constructor(iterator: ChunkIterator) {
    this.#iterator = iterator
  }

  /** Wraps any input; a `ByteSource` is returned as it is. Nothing is pulled yet. */
  static from(input: ByteInput): ByteSource {
    if (input instanceof ByteSource) return input
    return new ByteSource(iteratorOf(input))
  }

  /** Bytes consumed since the source was made. */
  get position(): bigint {
    return BigInt(this.#start + this.offset)
  }

  /** Bytes fetched and not consumed. */
  get buffered(): number {
    return this.buffer.length - this.offset + (this.#next?.length ?? 0)
  }

  /**
   * Makes up to `count` bytes contiguous in `buffer` at `offset`, out of what has been fetched, and says how many
   * there are. Less than `count` means: `pull`, then ask again.
   */
  window(count: number): number {
    const here = this.buffer.length - this.offset
    if (here >= count) return count
    const next = this.#next
    if (next === undefined) return here
    if (here === 0) {
      this.#replace(next)
      this.#next = undefined
      return this.window(count)
    }
    const taken = Math.min(count - here, next.length)
    const joined = new Uint8Array(here + taken)
    joined.set(this.buffer.subarray(this.offset))
    joined.set(next.subarray(0, taken), here)
    this.#replace(joined)
    this.#next = taken === next.length ? undefined : next.subarray(taken)
    return joined.length
  }

  /** Consumes `count` bytes that `window` has shown. */
  advance(count: number): void {
    this.offset += count
  }

  /** Consumes and returns up to `max` bytes at hand, without waiting; empty if there are none. A view. */
  takeBuffered(max: number): Uint8Array {
    const count = this.window(1) === 0 ? 0 : Math.min(max, this.buffer.length - this.offset)
    if (count === 0) return EMPTY
    const piece = this.buffer.subarray(this.offset, this.offset + count)
    this.offset += count
    return piece
  }

  /** Fetches one more chunk. False at the end of the stream, which is not asked again. */
  async pull(): Promise<boolean> {
    if (this.#failure !== undefined) throw this.#failure.error
    if (this.#ended) return false
    this.#keepLeftover()
    try {
      for (;;) {
        const result = await this.#iterator.next()
        if (result.done === true) {
          this.#ended = true
          return false
        }
        const chunk = result.value
        if (!(chunk instanceof Uint8Array)) {
          throw new WireError('invalid-input', 'source yielded something else than bytes', {
            expected: 'Uint8Array',
            actual: typeof chunk,
          })
        }
        if (chunk.length === 0) continue
        if (this.buffer.length === this.offset) this.#replace(chunk)
        else this.#next = chunk
        return true
      }
    } catch (error) {
      this.#failure = { error }
      throw error
    }
  }

  /** Whether `error` came from the underlying stream, and not from a format on top of it. */
  raised(error: unknown): boolean {
    return this.#failure !== undefined && this.#failure.error === error
  }

  /** Everything that follows, the bytes at hand first. Stopping early releases the underlying stream. */
  async *rest(): AsyncGenerator<Uint8Array, void, void> {
    let complete = false
    try {
      do {
        while (this.buffered > 0) yield this.takeBuffered(Number.POSITIVE_INFINITY)
      } while (await this.pull())
      complete = true
    } finally {
      if (!complete) await this.cancel()
    }
  }

  [Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, void> {
    return this.rest()
  }

  /** Releases the underlying stream without reading on. Later pulls find the end. */
  async cancel(): Promise<void> {
    if (this.#ended || this.#failure !== undefined) return
    this.#ended = true
    await this.#iterator.return?.()
  }

  #replace(buffer: Uint8Array): void {
    this.#start += this.offset
    this.buffer = buffer
    this.offset = 0
  }

  #keepLeftover(): void {
    if (this.#next !== undefined) this.window(this.buffered)
    if (this.offset < this.buffer.length) this.#replace(this.buffer.slice(this.offset))
  }
}

function iteratorOf(input: Exclude<ByteInput, ByteSource>): ChunkIterator {
  if (input instanceof Uint8Array) return [input][Symbol.iterator]()
  if (Symbol.asyncIterator in input) return input[Symbol.asyncIterator]()
  if (Symbol.iterator in input) return input[Symbol.iterator]()
  return readerIterator(input)
}

async function* readerIterator(stream: ReadableStreamLike): AsyncGenerator<Uint8Array, void, void> {
  const reader = stream.getReader()
  let complete = false
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done || value === undefined) break
      yield value
    }
    complete = true
  } finally {
    if (!complete) await reader.cancel()
  }
}
