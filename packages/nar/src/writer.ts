import { type ByteInput, type ByteSink, ByteSource, writeAll } from '@neve/nix-compat/wire'
import { NarEncoder, type NarEncoderOptions } from './encoder.js'
import { NarError } from './nar-error.js'

export type NarWriterOptions = Pick<NarEncoderOptions, 'bufferSize' | 'maxDepth'>

/**
 * Begins to write an archive to `sink` (spec 09 section 6) and returns the writer of its root node, whose `finish`
 * completes it. Nothing is closed.
 *
 * Everything is checked at once: a bad or unordered name, a bad target, a node written twice, an unclosed
 * directory, a call out of turn are `misuse`. Any error, the sink's own included, spoils the writer, and then every
 * call is `misuse`. What has reached the sink by then is a broken archive and must be thrown away.
 *
 * The writer waits for the sink. Pieces belong to the sink until its `write` settles; then those of file content
 * are the source's again.
 */
export function openNarWriter(sink: ByteSink, options: NarWriterOptions = {}): NarRootWriter {
  return new NarRootWriter(new Output(sink, options))
}

/** What the writers of one archive share: whose turn it is, and what waits for the sink. */
class Output {
  readonly encoder: NarEncoder
  turn: object | undefined
  readonly #sink: ByteSink
  readonly #waiting: Uint8Array[] = []
  #failure: { error: unknown } | undefined
  #busy = false

  constructor(sink: ByteSink, options: NarWriterOptions) {
    this.#sink = sink
    this.encoder = new NarEncoder((chunk) => this.#waiting.push(chunk), options)
    this.encoder.start()
  }

  /** Runs one call of `who`, whose turn it must be, one at a time; any error spoils the archive. */
  async run<T>(who: object | undefined, what: string, body: () => Promise<T> | T): Promise<T> {
    this.assertSound()
    if (this.#busy) throw this.misuse(what, 'one call at a time', 'a call while another is running')
    if (this.turn !== who) throw this.misuse(what, 'the turn of this writer', 'a call out of turn')
    this.#busy = true
    try {
      const result = await body()
      if (this.#waiting.length > 0) await this.drain()
      return result
    } catch (error) {
      this.#failure ??= { error }
      throw error
    } finally {
      this.#busy = false
    }
  }

  async drain(): Promise<void> {
    for (const chunk of this.#waiting) await writeAll(this.#sink, chunk)
    this.#waiting.length = 0
  }

  get waiting(): boolean {
    return this.#waiting.length > 0
  }

  async flush(): Promise<void> {
    await this.drain()
    await this.#sink.flush?.()
  }

  assertSound(): void {
    if (this.#failure === undefined) return
    throw new NarError('misuse', 'archive written after an error', {
      offset: this.encoder.bytesWritten,
      cause: this.#failure.error,
    })
  }

  misuse(what: string, expected: string, actual: string): NarError {
    const error = new NarError('misuse', what, { expected, actual, offset: this.encoder.bytesWritten })
    this.#failure ??= { error }
    return error
  }
}

/** Writes one node: exactly one of its methods is called, once. */
export class NarNodeWriter {
  /** @internal */
  protected readonly output: Output
  readonly #parent: NarDirectoryWriter | undefined

  /** @internal */
  constructor(output: Output, parent?: NarDirectoryWriter) {
    this.output = output
    this.#parent = parent
    output.turn = this
  }

  /** A symlink. `target`: 1..4095 bytes, no NUL. */
  symlink(target: Uint8Array): Promise<void> {
    return this.output.run(this, 'writing a symlink', () => {
      this.output.encoder.symlink(target)
      this.#done()
    })
  }

  /**
   * A file of exactly `size` bytes. A source that ends early is `unexpected-eof`; after `size` bytes it is probed,
   * and more is `invalid-input`. Both happen when the size has been written: the output is broken then. Errors of
   * the source pass through.
   */
  file(executable: boolean, size: bigint, content: ByteInput): Promise<void> {
    return this.output.run(this, 'writing a file', async () => {
      const { encoder } = this.output
      encoder.fileHeader(executable, size)
      if (content instanceof Uint8Array) encoder.content(content)
      else {
        for await (const piece of ByteSource.from(content)) {
          encoder.content(piece)
          if (this.output.waiting) await this.output.drain()
        }
      }
      encoder.fileEnd()
      this.#done()
    })
  }

  /** A directory, which must be closed. */
  directory(): Promise<NarDirectoryWriter> {
    return this.output.run(this, 'writing a directory', () => {
      this.output.encoder.directoryStart()
      return new NarDirectoryWriter(this.output, this.#parent)
    })
  }

  #done(): void {
    this.output.turn = this.#parent
    if (this.#parent !== undefined) this.output.encoder.entryEnd()
  }
}

/** Writes the root node, and completes the archive. */
export class NarRootWriter extends NarNodeWriter {
  /** Makes sure that the archive is complete, flushes the sink, and returns the archive's size in bytes. */
  finish(): Promise<bigint> {
    return this.output.run(undefined, 'finishing the archive', async () => {
      const size = this.output.encoder.finish()
      await this.output.flush()
      return size
    })
  }
}

/** Writes the entries of a directory. */
export class NarDirectoryWriter {
  readonly #output: Output
  readonly #parent: NarDirectoryWriter | undefined

  /** @internal */
  constructor(output: Output, parent: NarDirectoryWriter | undefined) {
    this.#output = output
    this.#parent = parent
    output.turn = this
  }

  /** Opens an entry, whose node is written next. `name`: as spec 09 section 4.4 has it, above the last one. */
  entry(name: Uint8Array): Promise<NarNodeWriter> {
    return this.#output.run(this, 'writing an entry', () => {
      this.#output.encoder.entry(name)
      return new NarNodeWriter(this.#output, this)
    })
  }

  /** Ends the directory; its parent may go on. */
  close(): Promise<void> {
    return this.#output.run(this, 'closing a directory', () => {
      this.#output.encoder.directoryEnd()
      this.#output.turn = this.#parent
      if (this.#parent !== undefined) this.#output.encoder.entryEnd()
    })
  }
}
