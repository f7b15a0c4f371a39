import { fill, truncated } from './wire-decode.js'
import { getU64 } from './wire-encode.js'
import { showBytes, WireError } from './wire-error.js'
import type { ByteSource } from './wire-source.js'

/** What must follow a packet's payload (spec 09 section 3.1). */
export interface PacketTrailer {
  /**
   * A multiple of 8 bytes. Of the first 8, as many as the payload's last block fills are payload; the rest, and
   * everything after them, must be there literally.
   */
  pattern: Uint8Array
  /** The pattern in words, for error messages. */
  text: string
}

/** Zero padding only: an ordinary `bytes` value. */
export const PADDING_TRAILER: PacketTrailer = { pattern: new Uint8Array(8), text: 'zero padding' }

export interface PacketOptions {
  /** Smallest length accepted, in bytes. Default: 0. */
  min?: bigint
  /** Largest length accepted, in bytes. Default: 2^64-1. */
  max?: bigint
  /** Default: `PADDING_TRAILER`. */
  trailer?: PacketTrailer
}

const EMPTY = new Uint8Array(0)
const U64_MAX = 0xffff_ffff_ffff_ffffn

/**
 * Opens a `bytes` value for streaming (spec 09 section 3.1): reads its length at once, and for an empty one the
 * trailer too. A length out of range is `invalid-data`, and nothing past it is read.
 */
export async function openPacket(source: ByteSource, options: PacketOptions = {}): Promise<PacketReader> {
  const { trailer = PADDING_TRAILER } = options
  if (source.window(8) < 8) await fill(source, 8, 'packet length')
  const length = checkedLength(source, options)
  source.advance(8)
  if (length === 0n) await readTrailer(source, 0, trailer)
  return new PacketReader(source, length, trailer)
}

/**
 * `openPacket` without waiting: undefined if not all that it reads has been fetched, and nothing is consumed then.
 */
export function openPacketNow(source: ByteSource, options: PacketOptions = {}): PacketReader | undefined {
  const { trailer = PADDING_TRAILER } = options
  if (source.window(8) < 8) return undefined
  const length = checkedLength(source, options)
  if (length === 0n) {
    const { pattern } = trailer
    if (source.window(pattern.length) < pattern.length) return undefined
    compareTrailer(source, trailer, 8, 8, pattern.length)
    source.advance(pattern.length - 8)
  }
  source.advance(8)
  return new PacketReader(source, length, trailer)
}

function checkedLength(source: ByteSource, { min = 0n, max = U64_MAX }: PacketOptions): bigint {
  const length = getU64(source.buffer, source.offset)
  if (length >= min && length <= max) return length
  const details = { offset: source.position, expected: `${min}..${max}`, actual: `${length}` }
  source.advance(8)
  throw new WireError('invalid-data', 'packet length out of range', details)
}

/**
 * The payload of a packet, streamed. The last 1 to 8 bytes are held back until everything that must follow them
 * has come and is right; so whoever has received `length` bytes knows that the packet was sound, and the source
 * stands right behind it. Made by `openPacket`.
 */
export class PacketReader implements AsyncIterable<Uint8Array> {
  readonly #source: ByteSource
  readonly #trailer: PacketTrailer
  #length: bigint
  #tailLength: number
  #tail: Uint8Array | undefined
  #failure: { error: unknown } | undefined

  /** @internal use `openPacket` */
  constructor(source: ByteSource, length: bigint, trailer: PacketTrailer) {
    this.#source = source
    this.#trailer = trailer
    this.#length = length
    this.#tailLength = length === 0n ? 0 : Number((length - 1n) & 7n) + 1
  }

  /** Payload bytes not delivered yet. */
  get length(): bigint {
    return this.#length
  }

  /**
   * The next piece of the payload, at most `max` bytes: a view that is good until the next read from the source.
   * Empty at the end (and for `max` 0). `unexpected-eof` and `invalid-data` for a broken packet, `max` of a wrong
   * kind is `misuse`; errors of the source pass through. A failed reader raises the same error again.
   */
  async read(max: number = Number.MAX_SAFE_INTEGER): Promise<Uint8Array> {
    if (!(max >= 0)) {
      throw new WireError('misuse', 'read size', { expected: 'a number of bytes', actual: `${max}` })
    }
    if (max === 0) return EMPTY
    if (this.#failure !== undefined) throw this.#failure.error
    if (this.#length === 0n) return EMPTY
    try {
      return this.#takeWhole(max) ?? (await this.#takePiece(max))
    } catch (error) {
      this.#failure = { error }
      throw error
    }
  }

  /** Reads to the end and checks, without keeping anything. */
  async skip(): Promise<void> {
    while ((await this.read()).length > 0);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, void> {
    for (;;) {
      const piece = await this.read()
      if (piece.length === 0) return
      yield piece
    }
  }

  /** The common case of a small packet: all that is left and its trailer lie in one chunk already. */
  #takeWhole(max: number): Uint8Array | undefined {
    const source = this.#source
    const { pattern } = this.#trailer
    if (this.#tail !== undefined || source.window(1) === 0) return undefined
    const available = source.buffer.length - source.offset
    if (this.#length > BigInt(Math.min(available, max))) return undefined
    const length = Number(this.#length)
    const needed = length - this.#tailLength + pattern.length
    if (available < needed) return undefined
    compareTrailer(source, this.#trailer, length, this.#tailLength, pattern.length)
    const payload = source.buffer.subarray(source.offset, source.offset + length)
    source.advance(needed)
    this.#length = 0n
    return payload
  }

  async #takePiece(max: number): Promise<Uint8Array> {
    const source = this.#source
    const body = this.#length - BigInt(this.#tailLength)
    if (body > 0n) {
      const wanted = body < BigInt(max) ? Number(body) : max
      while (source.window(1) === 0) {
        if (!(await source.pull())) throw truncated(source, `${this.#length} more bytes of payload`)
      }
      return this.#deliver(source.takeBuffered(wanted))
    }
    this.#tail ??= await readTrailer(source, this.#tailLength, this.#trailer)
    const piece = this.#tail.subarray(0, max)
    this.#tail = this.#tail.subarray(piece.length)
    this.#tailLength -= piece.length
    return this.#deliver(piece)
  }

  #deliver(piece: Uint8Array): Uint8Array {
    this.#length -= BigInt(piece.length)
    return piece
  }
}

/**
 * Reads the last `tailLength` (0..8) bytes of a payload together with the trailer behind them, and returns the
 * former as a buffer of the caller's own (spec 09 section 3.1). Bytes are compared as they arrive: `invalid-data`
 * at once, `unexpected-eof` only if all that came was right. With no tail and plain padding nothing is read.
 */
export async function readTrailer(
  source: ByteSource,
  tailLength: number,
  trailer: PacketTrailer = PADDING_TRAILER,
): Promise<Uint8Array> {
  const from = tailLength === 0 ? 8 : tailLength
  const needed = tailLength + trailer.pattern.length - from
  for (;;) {
    const available = source.window(needed)
    compareTrailer(source, trailer, tailLength, from, from + Math.max(0, available - tailLength))
    if (available === needed) break
    if (!(await source.pull())) {
      throw truncated(source, available < tailLength ? 'the rest of the payload' : trailer.text)
    }
  }
  const tail = source.buffer.slice(source.offset, source.offset + tailLength)
  source.advance(needed)
  return tail
}

/** Compares the bytes `ahead` of the source's position with the pattern's bytes `from` up to `to`. */
function compareTrailer(
  source: ByteSource,
  { pattern, text }: PacketTrailer,
  ahead: number,
  from: number,
  to: number,
): void {
  const { buffer, offset } = source
  const shift = offset + ahead - from
  for (let index = from; index < to; index++) {
    if (buffer[shift + index] === pattern[index]) continue
    throw new WireError('invalid-data', index < 8 ? 'padding' : 'bytes after the payload', {
      offset: source.position + BigInt(ahead + index - from),
      expected: text,
      actual: showBytes(buffer.subarray(shift + index, shift + to)),
    })
  }
}
