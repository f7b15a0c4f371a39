/** The most bytes of one block of a zstd frame. */
const MAX_BLOCK = 128 * 1024
/** What a frame of one raw block has before its bytes. */
const HEADER = 12
const ZSTD_MAGIC = 0xfd2fb528
/** One segment: the window is the content. The content's length follows in 4 bytes. */
const DESCRIPTOR = 0xa0
const LAST_RAW_BLOCK = 1

/** How many bytes a {@link ZstdOutput} may need for `literals` pieces of bytes, `bytes` long together. */
export function zstdOutputBound(bytes: number, literals: number): number {
  return bytes + (Math.ceil(bytes / MAX_BLOCK) + literals) * HEADER
}

/**
 * Puts a zstd stream together in a buffer, without a compressor: frames that are there already, and bytes as they are,
 * which become frames of one raw block of up to 128 KiB each. Bytes that follow each other share a frame.
 */
export class ZstdOutput {
  readonly #out: Buffer
  #at = 0
  /** Where the open frame of bytes begins, if there is one. */
  #open = -1

  /** @param out has the room that {@link zstdOutputBound} says, and what the frames take */
  constructor(out: Buffer) {
    this.#out = out
  }

  /** Adds bytes as they are. */
  literal(bytes: Uint8Array): void {
    for (let taken = 0; taken < bytes.length; ) {
      if (this.#open < 0) {
        this.#open = this.#at
        this.#at += HEADER
      }
      const room = MAX_BLOCK - (this.#at - this.#open - HEADER)
      const piece = room >= bytes.length && taken === 0 ? bytes : bytes.subarray(taken, taken + room)
      this.#out.set(piece, this.#at)
      this.#at += piece.length
      taken += piece.length
      if (piece.length === room) this.#close()
    }
  }

  /** Adds a whole frame. */
  frame(frame: Uint8Array): void {
    this.#close()
    this.#out.set(frame, this.#at)
    this.#at += frame.length
  }

  /** @returns the length of the stream in bytes */
  end(): number {
    this.#close()
    return this.#at
  }

  #close(): void {
    const start = this.#open
    if (start < 0) return
    const length = this.#at - start - HEADER
    this.#out.writeUInt32LE(ZSTD_MAGIC, start)
    this.#out[start + 4] = DESCRIPTOR
    this.#out.writeUInt32LE(length, start + 5)
    this.#out.writeUIntLE(LAST_RAW_BLOCK | (length << 3), start + 9, 3)
    this.#open = -1
  }
}
