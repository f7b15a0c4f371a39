/** The bytes before a message on the wire: a flag for compression, and the length. */
export const FRAME_HEADER = 5

/** So much room is made for a message of which nothing has come: more than for a usual one of a blob. */
const MAX_UNSEEN = 512 * 1024

/** What comes before a message of so many bytes. */
export function frameHeader(length: number): Uint8Array {
  const header = Buffer.alloc(FRAME_HEADER)
  writeFrameLength(header, 0, length)
  return header
}

/** Writes it into `out`, which has zeros from `at` on. */
export function writeFrameLength(out: Buffer, at: number, length: number): void {
  out.writeUInt32BE(length, at + 1)
}

/** A message as it travels: a copy, with what comes before it. */
export function framed(message: Uint8Array): Uint8Array {
  return Buffer.concat([frameHeader(message.length), message])
}

/** From how many bytes on it costs more to copy a piece of a message than to send it by itself. */
const LARGE_PIECE = 16 * 1024
/**
 * A message of several pieces as it travels: what comes before it and small pieces together, large ones as they are.
 *
 * @param length of all pieces together, in bytes
 */
export function framedPieces(pieces: readonly Uint8Array[], length: number): Uint8Array[] {
  const out: Uint8Array[] = []
  let small: Uint8Array[] = [frameHeader(length)]
  for (const piece of pieces) {
    if (piece.length < LARGE_PIECE) small.push(piece)
    else {
      out.push(joined(small), piece)
      small = []
    }
  }
  if (small.length > 0) out.push(joined(small))
  return out
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces)
}

/** Bytes that are no frames of messages, or a message that is too long. */
export class FrameError extends Error {
  override readonly name = 'FrameError'

  constructor(
    readonly code: 'compressed' | 'too-large',
    message: string,
  ) {
    super(message)
  }
}

/** Takes a stream of bytes apart into messages. */
export class FrameDecoder {
  readonly #limit: number
  readonly #compression: boolean
  readonly #header = new Uint8Array(FRAME_HEADER)
  #headerLength = 0
  /** What there is of the message, with room for more; its length is known, but not believed. */
  #message: Uint8Array | undefined
  #expected = 0
  #length = 0

  /**
   * @param limit the longest message to accept, in bytes: no more is held
   * @param compression whether messages may be compressed: then somebody else has to see to it
   */
  constructor(limit: number, compression = false) {
    this.#limit = limit
    this.#compression = compression
  }

  /** Whether the stream may end here. */
  get atBoundary(): boolean {
    return this.#headerLength === 0
  }

  /** How many bytes are held of a message that is not whole. */
  get held(): number {
    return this.#message?.length ?? 0
  }

  /**
   * Takes the next bytes, which are not kept.
   *
   * @param onMessage is given each message that became whole, in an array of its own
   * @throws FrameError
   */
  push(bytes: Uint8Array, onMessage: (message: Uint8Array, compressed: boolean) => void): void {
    for (let at = 0; at < bytes.length; ) {
      if (this.#message === undefined) {
        while (this.#headerLength < FRAME_HEADER && at < bytes.length) {
          this.#header[this.#headerLength++] = bytes[at++]!
        }
        if (this.#headerLength < FRAME_HEADER) return
        this.#expected = this.#announced()
        this.#message = Buffer.allocUnsafe(Math.min(this.#expected, MAX_UNSEEN))
        this.#length = 0
      }
      const taken = Math.min(this.#expected - this.#length, bytes.length - at)
      const message = this.#withRoom(this.#message, this.#length + taken)
      message.set(bytes.subarray(at, at + taken), this.#length)
      this.#length += taken
      at += taken
      if (this.#length < this.#expected) return
      this.#message = undefined
      this.#headerLength = 0
      onMessage(message, this.#header[0] === 1)
    }
  }

  /** Gives a message room for so many bytes: a peer that announces much, and sends little, takes little. */
  #withRoom(message: Uint8Array, length: number): Uint8Array {
    if (length <= message.length) return message
    const larger = Buffer.allocUnsafe(Math.min(this.#expected, Math.max(length, 2 * message.length)))
    larger.set(message.subarray(0, this.#length))
    this.#message = larger
    return larger
  }

  #announced(): number {
    const [flag, a, b, c, d] = this.#header as unknown as [number, number, number, number, number]
    if (flag !== 0 && !(flag === 1 && this.#compression))
      throw new FrameError('compressed', `received a compressed message (flag ${flag})`)
    const length = ((a << 24) | (b << 16) | (c << 8) | d) >>> 0
    if (length > this.#limit) {
      throw new FrameError('too-large', `received message larger than max (${length} vs ${this.#limit})`)
    }
    return length
  }
}
