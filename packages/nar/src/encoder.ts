import { padLength, putU64, showBytes } from '@neve/nix-compat/wire'
import {
  compareNames,
  DEFAULT_MAX_DEPTH,
  MAX_NAME_LENGTH,
  MAX_TARGET_LENGTH,
  nameFault,
  targetFault,
} from './names.js'
import { NarError } from './nar-error.js'
import { NAR_TOKENS } from './tokens.js'

export interface NarEncoderOptions {
  /** Bytes collected before they are handed over. Default: 128 KiB; at least 16 KiB. */
  bufferSize?: number
  /**
   * Hand over the same buffer again and again: right for a callback that is done with the bytes when it returns,
   * such as a hash. Default: false, the bytes then belong to the callback.
   */
  reuseBuffer?: boolean
  /**
   * Gives the next buffer of so many bytes, whatever it holds: for a callback that gets buffers back once their bytes
   * are sent. Default: a new one.
   */
  allocate?: (length: number) => Uint8Array
  /** Nodes at this depth or deeper are refused; the root's depth is 0. Default: 64, as Nix reads. */
  maxDepth?: number
}

/** What may come next. */
type Expecting =
  | 'start'
  | 'node'
  | 'content'
  | 'entry or end'
  | 'end of entry'
  | 'finish'
  | 'nothing'
  | 'nothing after an error'

/** Everything but file content is shorter than this: name, target, tokens and lengths of one step. */
const STEP = 8192
/** Content pieces from this size on are handed over as they are. */
export const LARGE_PIECE = 32 * 1024
const U64_MAX = 0xffff_ffff_ffff_ffffn

/**
 * Writes an archive into a buffer, step by step and without waiting, and hands the buffer over whenever it is full
 * (spec 09 sections 4 and 6): the cheapest way to make a NAR, for hashing it or for sending it.
 *
 * The order is `start`, then one node, then `finish`. A node is `symlink(target)`; or `fileHeader`, `content` as
 * often as need be, `fileEnd`; or `directoryStart`, for each entry in ascending order of the name's bytes `entry`,
 * a node, `entryEnd`, and at last `directoryEnd`. Everything is checked: a step out of order, a bad or unordered
 * name, a bad target is `misuse`, and after any error every further step is.
 */
export class NarEncoder {
  readonly #emit: (chunk: Uint8Array) => void
  readonly #reuse: boolean
  readonly #largePiece: number
  readonly #maxDepth: number
  /** The last name of each open directory; empty before the first entry. */
  readonly #names: Uint8Array[] = []
  readonly #allocate: (length: number) => Uint8Array
  #buffer: Uint8Array
  /** Bytes `from` to `at` of the buffer wait to be handed over; those before belong to the callback. */
  #from = 0
  #at = 0
  #handedOver = 0n
  #expecting: Expecting = 'start'
  #size = 0n
  #remaining = 0n

  /** `emit` gets the bytes in order; it must take them at once or keep them, see `reuseBuffer`. */
  constructor(emit: (chunk: Uint8Array) => void, options: NarEncoderOptions = {}) {
    this.#emit = emit
    this.#reuse = options.reuseBuffer ?? false
    // For a hash another call costs less than a copy, the more so out of shared memory.
    this.#largePiece = this.#reuse ? 1024 : LARGE_PIECE
    this.#maxDepth = options.maxDepth ?? DEFAULT_MAX_DEPTH
    this.#allocate = options.allocate ?? ((length) => new Uint8Array(length))
    this.#buffer = this.#allocate(Math.max(options.bufferSize ?? 128 * 1024, 2 * STEP))
  }

  /** Length of the archive so far, in bytes, whether handed over or not. */
  get bytesWritten(): bigint {
    return this.#handedOver + BigInt(this.#at - this.#from)
  }

  /** Content bytes of the open file that are still to come. */
  get remaining(): bigint {
    return this.#remaining
  }

  /** The archive's opening. */
  start(): void {
    this.#step('start', 'start')
    this.#token(NAR_TOKENS.magic)
    this.#expecting = 'node'
  }

  /** A whole symlink node. `target`: 1..4095 bytes, no NUL. */
  symlink(target: Uint8Array): void {
    this.#step('node', 'symlink')
    const fault =
      target.length > MAX_TARGET_LENGTH
        ? `a target of at most ${MAX_TARGET_LENGTH} bytes`
        : targetFault(target)
    if (fault !== undefined) throw this.#fail('misuse', 'symlink target', fault, showBytes(target))
    this.#token(NAR_TOKENS.symlink)
    this.#bytes(target)
    this.#token(NAR_TOKENS.close)
    this.#nodeDone()
  }

  /** Opens a file node whose content will be `size` bytes, 0..2^64-1. */
  fileHeader(executable: boolean, size: bigint): void {
    this.#step('node', 'file')
    if (size < 0n || size > U64_MAX) throw this.#fail('misuse', 'file size', 'an unsigned u64', `${size}`)
    this.#token(executable ? NAR_TOKENS.executable : NAR_TOKENS.regular)
    this.#u64(size)
    this.#size = size
    this.#remaining = size
    this.#expecting = 'content'
  }

  /**
   * File content. Small pieces are copied; large ones (32 KiB or more, 1 KiB with `reuseBuffer`) are handed over as they are, behind what is
   * buffered. More than announced is `invalid-input`.
   */
  content(bytes: Uint8Array): void {
    this.#takeContent(BigInt(bytes.length))
    if (bytes.length >= this.#largePiece) {
      this.flush()
      this.#handedOver += BigInt(bytes.length)
      this.#emit(bytes)
      return
    }
    for (let taken = 0; taken < bytes.length; ) {
      this.#reserve()
      const piece = bytes.subarray(taken, taken + this.#buffer.length - this.#at)
      this.#buffer.set(piece, this.#at)
      this.#at += piece.length
      taken += piece.length
    }
  }

  /**
   * Accounts for `length` bytes of file content that the caller passes on by itself, behind everything that this
   * call hands over.
   */
  external(length: bigint): void {
    this.#takeContent(length)
    this.flush()
    this.#handedOver += length
  }

  /** Closes a file: padding and closing token. `unexpected-eof` if content is missing. */
  fileEnd(): void {
    this.#step('content', 'end of file')
    if (this.#remaining > 0n) {
      const actual = `${this.#size - this.#remaining}`
      throw this.#fail('unexpected-eof', 'file content ended early', `${this.#size} bytes`, actual)
    }
    this.#reserve()
    for (let left = padLength(this.#size); left > 0; left--) this.#buffer[this.#at++] = 0
    this.#token(NAR_TOKENS.close)
    this.#nodeDone()
  }

  /** Opens a directory node. */
  directoryStart(): void {
    this.#step('node', 'directory')
    this.#token(NAR_TOKENS.directory)
    this.#names.push(NO_NAME)
    this.#expecting = 'entry or end'
  }

  /** Opens an entry; its node follows. `name`: 1..255 bytes as spec 09 section 4.4 has it, above the last one. */
  entry(name: Uint8Array): void {
    this.#step('entry or end', 'entry')
    const fault = name.length > MAX_NAME_LENGTH ? `at most ${MAX_NAME_LENGTH} bytes` : nameFault(name)
    if (fault !== undefined) throw this.#fail('misuse', 'entry name', fault, showBytes(name))
    const depth = this.#names.length
    const last = this.#names[depth - 1]!
    if (last.length > 0 && compareNames(last, name) >= 0) {
      throw this.#fail('misuse', 'entry order', `a name above ${showBytes(last)}`, showBytes(name))
    }
    if (depth >= this.#maxDepth) {
      throw this.#fail('misuse', 'nesting', `a depth below ${this.#maxDepth}`, `${depth}`)
    }
    // The slice of a Buffer would be a view.
    this.#names[depth - 1] = new Uint8Array(name)
    this.#token(NAR_TOKENS.entry)
    this.#bytes(name)
    this.#token(NAR_TOKENS.node)
    this.#expecting = 'node'
  }

  /** Closes an entry whose node is complete. */
  entryEnd(): void {
    this.#step('end of entry', 'end of entry')
    this.#token(NAR_TOKENS.close)
    this.#expecting = 'entry or end'
  }

  /** Closes a directory. */
  directoryEnd(): void {
    this.#step('entry or end', 'end of directory')
    this.#token(NAR_TOKENS.close)
    this.#names.pop()
    this.#nodeDone()
  }

  /** Hands over what is buffered. Allowed at any time. */
  flush(): void {
    if (this.#at === this.#from) return
    const chunk = this.#buffer.subarray(this.#from, this.#at)
    this.#handedOver += BigInt(chunk.length)
    if (this.#reuse) this.#at = 0
    this.#from = this.#at
    this.#emit(chunk)
  }

  /** Hands over the rest and returns the archive's length in bytes. `misuse` if the archive is not complete. */
  finish(): bigint {
    this.#step('finish', 'finish')
    this.#expecting = 'nothing'
    this.flush()
    return this.#handedOver
  }

  #step(expecting: Expecting, what: string): void {
    if (this.#expecting === expecting) return
    throw this.#fail('misuse', 'archive written out of order', this.#expecting, what)
  }

  #takeContent(length: bigint): void {
    this.#step('content', 'content')
    if (length > this.#remaining || length < 0n) {
      const expected = `at most ${this.#remaining} more of ${this.#size} bytes`
      throw this.#fail('invalid-input', 'more file content than announced', expected, `${length}`)
    }
    this.#remaining -= length
  }

  #nodeDone(): void {
    this.#expecting = this.#names.length === 0 ? 'finish' : 'end of entry'
  }

  #fail(
    code: 'misuse' | 'invalid-input' | 'unexpected-eof',
    what: string,
    expected: string,
    actual: string,
  ): NarError {
    this.#expecting = 'nothing after an error'
    return new NarError(code, what, { expected, actual, offset: this.bytesWritten })
  }

  #reserve(): void {
    if (this.#buffer.length - this.#at >= STEP) return
    this.flush()
    if (this.#reuse) return
    this.#buffer = this.#allocate(this.#buffer.length)
    this.#from = 0
    this.#at = 0
  }

  #token(token: Uint8Array): void {
    this.#reserve()
    this.#buffer.set(token, this.#at)
    this.#at += token.length
  }

  #u64(value: bigint): void {
    this.#reserve()
    putU64(this.#buffer, this.#at, value)
    this.#at += 8
  }

  /** A name or a target: shorter than 64 KiB. */
  #bytes(payload: Uint8Array): void {
    this.#reserve()
    const { length } = payload
    const buffer = this.#buffer
    const at = this.#at
    const end = at + 8 + length + padLength(length)
    buffer[at] = length
    buffer[at + 1] = length >>> 8
    for (let index = at + 2; index < at + 8; index++) buffer[index] = 0
    buffer.set(payload, at + 8)
    for (let index = at + 8 + length; index < end; index++) buffer[index] = 0
    this.#at = end
  }
}

const NO_NAME: Uint8Array = new Uint8Array(0)
