import type { ByteSource } from './byte-source.js'
import { Bzip2Block, Bzip2DamageError, Bzip2InputError } from './bzip2-block.js'
import { ArchiveError } from './errors.js'

const HEADER_LENGTH = 4
const ONE = 0x31
const NINE = 0x39
/** Bytes before a block of that level can hardly be incomplete: more than a block takes that does not compress. */
const ENOUGH = 120_000
const PIECE = 128 * 1024

/** The content of bzip2 streams that follow one another. */
export async function* bunzipped(source: ByteSource): AsyncGenerator<Uint8Array, void, undefined> {
  const input = new BlockInput(source)
  for (let first = true; await input.fill(1); first = false) {
    await input.fill(HEADER_LENGTH)
    const level = streamLevel(input.bytes, input.ended)
    if (level === undefined) {
      const what = first ? 'no bzip2 header' : 'something else than bzip2 data behind the end of a stream'
      throw new ArchiveError('compressed-data', `damaged bzip2 data: ${what} before byte ${source.offset}`)
    }
    input.take(HEADER_LENGTH * 8)
    const block = new Bzip2Block(level)
    let combined = 0
    for (;;) {
      const end = await decode(input, block, level)
      if (end !== undefined) {
        if (end !== combined) {
          throw new ArchiveError(
            'compressed-data',
            `damaged bzip2 data before byte ${source.offset}: checksum`,
          )
        }
        break
      }
      combined = (((combined << 1) | (combined >>> 31)) ^ block.crc) >>> 0
      try {
        yield* block.content()
      } catch (error) {
        throw damaged(error, source.offset)
      }
    }
    input.align()
  }
}

/** Reads one block. @returns at the end of the stream, the checksum of it all */
async function decode(input: BlockInput, block: Bzip2Block, level: number): Promise<number | undefined> {
  for (let want = ENOUGH * level; ; want *= 2) {
    const complete = !(await input.fill(want))
    try {
      const { bits, end } = block.read(input.bytes, input.bit)
      input.take(bits)
      return end
    } catch (error) {
      if (!(error instanceof Bzip2InputError)) throw damaged(error, input.offset)
      if (!complete) continue
      const reason = `the bzip2 data ends too early, after ${input.offset} bytes`
      throw new ArchiveError('compressed-truncated', reason, { cause: error })
    }
  }
}

function damaged(error: unknown, offset: number): unknown {
  if (!(error instanceof Bzip2DamageError)) return error
  const code = error.unsupported ? 'compression-unsupported' : 'compressed-data'
  return new ArchiveError(code, `damaged bzip2 data before byte ${offset}: ${error.message}`, {
    cause: error,
  })
}

/** @returns undefined for what is no header */
function streamLevel(bytes: Uint8Array, ended: boolean): number | undefined {
  const magic = [0x42, 0x5a, 0x68]
  const [level] = bytes.subarray(3)
  if (magic.some((byte, i) => i < bytes.length && bytes[i] !== byte)) return undefined
  if (level === undefined && ended) {
    throw new ArchiveError('compressed-truncated', 'the bzip2 data ends within a header')
  }
  return level === undefined || level < ONE || level > NINE ? undefined : level - ONE + 1
}

/** Compressed bytes that were not decoded yet: a block has to be there as a whole. */
class BlockInput {
  readonly #source: ByteSource
  #buffer = new Uint8Array(PIECE)
  #length = 0
  #at = 0
  /** Bits of the first byte that are used up. */
  bit = 0
  ended = false

  constructor(source: ByteSource) {
    this.#source = source
  }

  get bytes(): Uint8Array {
    return this.#buffer.subarray(this.#at, this.#length)
  }

  /** Where in the source reading stands. */
  get offset(): number {
    return this.#source.offset
  }

  /** @returns whether there are so many bytes */
  async fill(wanted: number): Promise<boolean> {
    while (!this.ended && this.#length - this.#at < wanted) {
      const piece = await this.#source.some(PIECE)
      if (piece === undefined) this.ended = true
      else this.#append(piece)
    }
    return this.#length - this.#at >= wanted
  }

  take(bits: number): void {
    const all = this.bit + bits
    this.#at += all >>> 3
    this.bit = all & 7
  }

  /** Passes over the rest of a byte. */
  align(): void {
    if (this.bit > 0) this.take(8 - this.bit)
  }

  #append(piece: Uint8Array): void {
    if (this.#length + piece.length > this.#buffer.length) {
      const rest = this.bytes
      const needed = rest.length + piece.length
      const target = needed > this.#buffer.length ? new Uint8Array(needed * 2) : this.#buffer
      if (target === this.#buffer) target.copyWithin(0, this.#at, this.#length)
      else target.set(rest)
      this.#buffer = target
      this.#length = rest.length
      this.#at = 0
    }
    this.#buffer.set(piece, this.#length)
    this.#length += piece.length
  }
}
