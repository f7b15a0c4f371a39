import type { BlobReader, ByteRange } from '../blob-service.js'
import type { CallOptions } from '../call-options.js'
import type { NamedStore } from '../combine/named-stores.js'
import { isTrouble, type OnTrouble } from '../combine/trouble.js'
import { CastoreError } from '../errors.js'
import { blobStream } from './stream.js'

/** Opens one blob, of one of several places that may have it. */
export type OpenOneBlob = (options: CallOptions) => Promise<BlobReader | undefined>

/**
 * Reads a blob that several places have: where one has trouble, the read goes on at the next. A place is opened when it
 * is first needed.
 */
export class FailoverBlobReader implements BlobReader {
  readonly size: bigint
  readonly #places: readonly NamedStore<OpenOneBlob>[]
  readonly #readers = new Map<number, BlobReader>()
  readonly #onTrouble: OnTrouble | undefined
  #preferred: number
  #closed = false

  /**
   * @param places all that may have the blob, in order
   * @param opened a reader of one of them, which is closed with this one
   * @param index which of the places it is of
   */
  constructor(
    places: readonly NamedStore<OpenOneBlob>[],
    opened: BlobReader,
    index: number,
    onTrouble?: OnTrouble,
  ) {
    this.#places = places
    this.#readers.set(index, opened)
    this.#preferred = index
    this.#onTrouble = onTrouble
    this.size = opened.size
  }

  async readAt(offset: bigint, length: number, options: CallOptions = {}): Promise<Uint8Array> {
    options.signal?.throwIfAborted()
    const failed = new Failures()
    for (;;) {
      const index = this.#next(failed)
      try {
        const reader = await this.#reader(index, options)
        if (reader !== undefined) {
          const bytes = await reader.readAt(offset, length, options)
          this.#preferred = index
          return bytes
        }
        failed.add(index)
      } catch (error) {
        this.#noteTrouble(failed, index, error, options)
      }
    }
  }

  async *stream(range: ByteRange, options: CallOptions = {}): AsyncGenerator<Uint8Array, void, undefined> {
    options.signal?.throwIfAborted()
    let failed = new Failures()
    let position = range.start
    for (;;) {
      const index = this.#next(failed)
      const start = position
      try {
        const reader = await this.#reader(index, options)
        if (reader !== undefined) {
          for await (const piece of blobStream(reader, { start, end: range.end, signal: options.signal })) {
            position += BigInt(piece.length)
            yield piece
          }
          this.#preferred = index
          return
        }
        failed.add(index)
      } catch (error) {
        // A place that could not give one piece may give those after it.
        if (position > start) failed = new Failures()
        this.#noteTrouble(failed, index, error, options)
      }
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    const readers = [...this.#readers.values()]
    this.#readers.clear()
    await Promise.all(readers.map((reader) => reader.close()))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #next(failed: Failures): number {
    if (!failed.has(this.#preferred)) return this.#preferred
    const index = this.#places.findIndex((_place, candidate) => !failed.has(candidate))
    if (index < 0) throw failed.first
    return index
  }

  #noteTrouble(failed: Failures, index: number, error: unknown, options: CallOptions): void {
    if (!isTrouble(error, options)) throw error
    failed.add(index, error)
    this.#onTrouble?.({ store: this.#places[index]!.name, error })
  }

  async #reader(index: number, options: CallOptions): Promise<BlobReader | undefined> {
    this.#expectOpen()
    const held = this.#readers.get(index)
    if (held !== undefined) return held
    const reader = await this.#places[index]!.service(options)
    if (reader === undefined) return undefined
    const other = this.#readers.get(index)
    if (other !== undefined || this.#closed || reader.size !== this.size) {
      await reader.close()
      this.#expectOpen()
      return other
    }
    this.#readers.set(index, reader)
    return reader
  }

  #expectOpen(): void {
    if (this.#closed) throw new CastoreError('closed', 'the blob reader is already closed')
  }
}

/** Which places could not answer one read, and what the first of them said. */
class Failures {
  readonly #indexes = new Set<number>()
  first: unknown = new CastoreError('unavailable', 'no store has the blob any more')
  #known = false

  add(index: number, error?: unknown): void {
    this.#indexes.add(index)
    if (error === undefined || this.#known) return
    this.#known = true
    this.first = error
  }

  has(index: number): boolean {
    return this.#indexes.has(index)
  }
}
