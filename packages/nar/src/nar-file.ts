import { type ByteSink, MemorySink, type PacketReader, writeAll } from '@neve/nix-compat/wire'
import type { Archive } from './archive.js'
import { NarError } from './nar-error.js'

/** A file's content, streamed. */
export class NarFile implements AsyncIterable<Uint8Array> {
  /** Length of the content in bytes. */
  readonly size: bigint
  readonly #archive: Archive
  readonly #packet: PacketReader

  /** @internal */
  constructor(archive: Archive, packet: PacketReader) {
    this.#archive = archive
    this.#packet = packet
    this.size = packet.length
    if (this.size > 0n) archive.open.push(this)
  }

  /** Content bytes not delivered yet. */
  get length(): bigint {
    return this.#packet.length
  }

  /**
   * The next piece of the content, at most `max` bytes; empty at the end (and for `max` 0). A view, good until the
   * next call on the archive. The last bytes come only when padding and closing token were found right, and then
   * the parent may go on.
   */
  async read(max?: number): Promise<Uint8Array> {
    const archive = this.#archive
    if (this.#packet.length === 0n) {
      archive.assertSound()
      return this.#packet.read(0)
    }
    archive.enter(this, 'reading a file')
    try {
      const piece = await this.#packet.read(max)
      if (this.#packet.length === 0n) archive.open.pop()
      archive.leave()
      return piece
    } catch (error) {
      throw archive.poison(error)
    }
  }

  /** Reads to the end and checks, without keeping anything. Does nothing for a finished file. */
  async skip(): Promise<void> {
    while ((await this.read()).length > 0);
  }

  /** Writes the rest of the content to `sink`; a failure of the sink spoils the archive and passes through. */
  async copyTo(sink: ByteSink): Promise<void> {
    for (;;) {
      const piece = await this.read()
      if (piece.length === 0) return
      try {
        await writeAll(sink, piece)
      } catch (error) {
        throw this.#archive.poison(error)
      }
    }
  }

  /** The rest of the content in one buffer of the caller's own; `invalid-data` if it is longer than `max` bytes. */
  async bytes(max: number): Promise<Uint8Array> {
    if (this.length > BigInt(max)) {
      const { offset } = this.#archive
      const details = { expected: `at most ${max} bytes`, actual: `${this.length}`, offset }
      throw this.#archive.poison(new NarError('invalid-data', 'file too large', details))
    }
    const first = await this.read()
    // The slice of a Buffer would be a view.
    if (this.length === 0n) return new Uint8Array(first)
    const sink = new MemorySink()
    sink.write(first)
    await this.copyTo(sink)
    return sink.bytes()
  }

  /** The pieces. Stopping early leaves the file unfinished: `skip` it before going on. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, void> {
    for (;;) {
      const piece = await this.read()
      if (piece.length === 0) return
      yield piece
    }
  }
}
