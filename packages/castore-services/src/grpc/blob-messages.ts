import { BLOB_CHUNK_HEADER, writeBlobChunkHeader } from './blob-chunk.js'

/** How much data goes into one message; whoever limits messages limits them to 4 MiB or more. */
export const BLOB_MESSAGE_SIZE = 256 * 1024

/** The `BlobChunk` messages of content, encoded; none for none. The content is copied when a message is asked for. */
export function* blobMessages(
  content: Uint8Array,
  messageSize: number = BLOB_MESSAGE_SIZE,
): Generator<Uint8Array, void, undefined> {
  for (let at = 0; at < content.length; at += messageSize) {
    const message = new BlobMessage(Math.min(messageSize, content.length - at))
    message.append(content, at)
    yield message.encoded()
  }
}

/** A `BlobChunk` message that is filled bit by bit. */
export class BlobMessage {
  readonly #buffer: Buffer
  #end = BLOB_CHUNK_HEADER

  /** @param room for so much data, in bytes */
  constructor(room: number) {
    this.#buffer = Buffer.allocUnsafe(BLOB_CHUNK_HEADER + room)
  }

  /** How much data is in it, in bytes. */
  get length(): number {
    return this.#end - BLOB_CHUNK_HEADER
  }

  /** How much more data there is room for. */
  get room(): number {
    return this.#buffer.length - this.#end
  }

  /**
   * Copies from `bytes`, beginning at `from`, as much as there is room for.
   *
   * @returns how much that was
   */
  append(bytes: Uint8Array, from: number): number {
    const length = Math.min(this.room, bytes.length - from)
    this.#buffer.set(
      from === 0 && length === bytes.length ? bytes : bytes.subarray(from, from + length),
      this.#end,
    )
    this.#end += length
    return length
  }

  /** Makes it empty again. */
  clear(): void {
    this.#end = BLOB_CHUNK_HEADER
  }

  /** The message: a view, good until it is filled again. */
  encoded(): Uint8Array {
    return this.#buffer.subarray(
      writeBlobChunkHeader(this.#buffer, BLOB_CHUNK_HEADER, this.length),
      this.#end,
    )
  }
}
