import { type ByteSource, getU64, padLength, showBytes, WireError } from '@neve/nix-compat/wire'
import { DEFAULT_MAX_DEPTH, MAX_NAME_LENGTH, MAX_TARGET_LENGTH } from './names.js'
import { NarError } from './nar-error.js'

/** Limits of a reader. They can be set lower than the format's, not higher, except for the depth. */
export interface NarReaderOptions {
  /** Nodes at this depth or deeper are refused; the root's depth is 0. Default: 64, as Nix. */
  maxDepth?: number
  /** Longest name in bytes. Default and highest: 255. */
  maxNameLength?: number
  /** Longest symlink target in bytes. Default and highest: 4095. */
  maxTargetLength?: number
}

/**
 * What all objects of one archive share while it is read: the source, who may use it now, and whether it has been
 * spoiled. Exactly one object, the one opened last and not finished, may read; everything else is misuse.
 */
export class Archive {
  readonly source: ByteSource
  readonly maxDepth: number
  readonly maxNameLength: number
  readonly maxTargetLength: number
  /** Open directories and, on top, an open file. */
  readonly open: object[] = []
  readonly #start: bigint
  #failure: unknown
  #failed = false
  #busy = false

  constructor(source: ByteSource, options: NarReaderOptions) {
    this.source = source
    this.#start = source.position
    this.maxDepth = options.maxDepth ?? DEFAULT_MAX_DEPTH
    this.maxNameLength = Math.min(options.maxNameLength ?? MAX_NAME_LENGTH, MAX_NAME_LENGTH)
    this.maxTargetLength = Math.min(options.maxTargetLength ?? MAX_TARGET_LENGTH, MAX_TARGET_LENGTH)
  }

  /** Position of the next byte, from the beginning of the archive. */
  get offset(): bigint {
    return this.source.position - this.#start
  }

  /** Throws `misuse` once anything has gone wrong. */
  assertSound(): void {
    if (!this.#failed) return
    throw new NarError('misuse', 'archive used after an error', { offset: this.offset, cause: this.#failure })
  }

  /** Begins a read by `who`, who must be the one whose turn it is. Ended by `leave` or `poison`. */
  enter(who: object, what: string): void {
    this.assertSound()
    if (this.#busy) throw this.misuse(what, 'one call at a time', 'a call while another is running')
    if (this.open.at(-1) !== who) {
      const actual = this.open.includes(who) ? 'an unfinished child' : 'a call after its end'
      throw this.misuse(what, 'the turn of this object', actual)
    }
    this.#busy = true
  }

  leave(): void {
    this.#busy = false
  }

  /** Spoils the archive and returns the error to throw: an error of the source as it is, else a `NarError`. */
  poison(error: unknown): unknown {
    const own = error instanceof WireError && !(error instanceof NarError) && !this.source.raised(error)
    const result = own ? this.#translate(error) : error
    this.#busy = false
    if (!this.#failed) {
      this.#failed = true
      this.#failure = result
    }
    return result
  }

  /** Spoils the archive for a call that breaks the contract. */
  misuse(what: string, expected: string, actual: string): NarError {
    const error = new NarError('misuse', what, { expected, actual, offset: this.offset })
    this.poison(error)
    return error
  }

  invalid(what: string, expected: string, actual: string, ahead = 0): NarError {
    return new NarError('invalid-data', what, { expected, actual, offset: this.offset + BigInt(ahead) })
  }

  /** Consumes `token` if it is at hand as a whole; false says nothing else than to ask `take`. */
  takeNow(token: Uint8Array): boolean {
    const { source } = this
    const length = token.length
    if (source.window(length) < length) return false
    const { buffer, offset } = source
    for (let index = 0; index < length; index++) if (buffer[offset + index] !== token[index]) return false
    source.advance(length)
    return true
  }

  /**
   * Consumes one of `tokens`, none of which begins another, and returns it. Bytes are compared as they arrive, and
   * never is more asked for than the shortest token that may still come.
   */
  async take(what: string, ...tokens: Uint8Array[]): Promise<Uint8Array> {
    const { source } = this
    for (;;) {
      let matched = 0
      let possible = false
      for (const token of tokens) {
        const available = source.window(token.length)
        const { buffer, offset } = source
        let count = 0
        while (count < available && buffer[offset + count] === token[count]) count++
        if (count === token.length) {
          source.advance(count)
          return token
        }
        if (count === available) possible = true
        if (count > matched) matched = count
      }
      if (!possible) {
        const from = source.offset + matched
        const found = showBytes(source.buffer.subarray(from, Math.min(from + 16, source.buffer.length)))
        throw this.invalid('wrong token', what, found, matched)
      }
      if (!(await source.pull())) throw this.truncated(what)
    }
  }

  /**
   * A `bytes` value of 1 to `max` bytes as a copy, if it is at hand as a whole; else undefined, and nothing is
   * consumed. The length is judged as soon as it is there.
   */
  bytesNow(what: string, max: number): Uint8Array | undefined {
    const { source } = this
    if (source.window(8) < 8) return undefined
    const announced = getU64(source.buffer, source.offset)
    if (announced < 1n || announced > BigInt(max)) {
      throw this.invalid(`length of ${what}`, `1..${max}`, `${announced}`)
    }
    const length = Number(announced)
    const end = 8 + length + padLength(length)
    if (source.window(end) < end) return undefined
    const { buffer, offset } = source
    for (let index = 8 + length; index < end; index++) {
      if (buffer[offset + index] !== 0) {
        const found = showBytes(buffer.subarray(offset + index, offset + end))
        throw this.invalid(`padding of ${what}`, 'zero bytes', found, index)
      }
    }
    const bytes = buffer.slice(offset + 8, offset + 8 + length)
    source.advance(end)
    return bytes
  }

  async bytes(what: string, max: number): Promise<Uint8Array> {
    for (;;) {
      const bytes = this.bytesNow(what, max)
      if (bytes !== undefined) return bytes
      if (!(await this.source.pull())) throw this.truncated(what)
    }
  }

  truncated(expected: string): NarError {
    return new NarError('unexpected-eof', 'archive ended early', {
      expected,
      actual: 'end of stream',
      offset: this.offset + BigInt(this.source.buffered),
    })
  }

  #translate(error: WireError): NarError {
    const { code, expected, actual, offset } = error
    const what = code === 'unexpected-eof' ? 'archive ended early' : 'file'
    return new NarError(code, what, {
      expected,
      actual,
      offset: offset === undefined ? this.offset : offset - this.#start,
      cause: error,
    })
  }
}
