/** The bytes before a message on the wire: a flag for compression, and the length. */
export const FRAME_HEADER = 5

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
  #message: Uint8Array | undefined
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
        this.#message = this.#begin()
        this.#length = 0
      }
      const message = this.#message
      const taken = Math.min(message.length - this.#length, bytes.length - at)
      message.set(bytes.subarray(at, at + taken), this.#length)
      this.#length += taken
      at += taken
      if (this.#length < message.length) return
      this.#message = undefined
      this.#headerLength = 0
      onMessage(message, this.#header[0] === 1)
    }
  }

  #begin(): Uint8Array {
    const [flag, a, b, c, d] = this.#header as unknown as [number, number, number, number, number]
    if (flag !== 0 && !(flag === 1 && this.#compression))
      throw new FrameError('compressed', `received a compressed message (flag ${flag})`)
    const length = ((a << 24) | (b << 16) | (c << 8) | d) >>> 0
    if (length > this.#limit) {
      throw new FrameError('too-large', `received message larger than max (${length} vs ${this.#limit})`)
    }
    return Buffer.allocUnsafe(length)
  }
}
