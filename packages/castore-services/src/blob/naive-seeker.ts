import { CastoreError } from '../errors.js'

/**
 * Reads and seeks in a stream of unknown length, forwards only: skipping reads what lies between and drops it (spec 02
 * section 18.6). For sources that offer nothing better. One call at a time.
 */
export class NaiveSeeker implements AsyncDisposable {
  readonly #source: AsyncIterator<Uint8Array>
  #piece: Uint8Array = new Uint8Array(0)
  #position = 0n
  #ended = false

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]()
  }

  /** Where the next read begins, in bytes from the start. */
  get position(): bigint {
    return this.#position
  }

  /**
   * Reads on: fewer than `length` bytes only where the stream ends, none at its end. The result is a new array.
   *
   * @throws what the source throws
   */
  async read(length: number): Promise<Uint8Array> {
    const pieces: Uint8Array[] = []
    let total = 0
    while (total < length && (await this.#fill())) {
      const piece = this.#take(length - total)
      pieces.push(piece)
      total += piece.length
    }
    const bytes = new Uint8Array(total)
    let at = 0
    for (const piece of pieces) {
      bytes.set(piece, at)
      at += piece.length
    }
    return bytes
  }

  /**
   * Skips forwards.
   *
   * @param offset bytes from the start, or from the position
   * @returns the new position
   * @throws CastoreError `unsupported` when the target lies before the position; `invalid-input` when the stream ends
   *   before the target; what the source throws
   */
  async seek(offset: bigint, from: 'start' | 'current' = 'start'): Promise<bigint> {
    const target = from === 'start' ? offset : this.#position + offset
    if (target < this.#position) {
      throw new CastoreError(
        'unsupported',
        `cannot seek backwards in a stream: expected at least ${this.#position}, got ${target}`,
      )
    }
    while (this.#position < target) {
      if (!(await this.#fill())) {
        throw new CastoreError(
          'invalid-input',
          `seeked beyond EOF: expected at most ${this.#position}, got ${target}`,
        )
      }
      const left = target - this.#position
      this.#take(left < this.#piece.length ? Number(left) : this.#piece.length)
    }
    return this.#position
  }

  /** Closes the source. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true
    this.#piece = new Uint8Array(0)
    await this.#source.return?.()
  }

  async #fill(): Promise<boolean> {
    while (this.#piece.length === 0 && !this.#ended) {
      const next = await this.#source.next()
      if (next.done) this.#ended = true
      else this.#piece = next.value
    }
    return this.#piece.length > 0
  }

  #take(length: number): Uint8Array {
    const taken = this.#piece.subarray(0, length)
    this.#piece = this.#piece.subarray(length)
    this.#position += BigInt(taken.length)
    return taken
  }
}
