import type { CallOptions } from '@neve/castore-services'
import { StoreError } from '../errors.js'
import type { PathMetadata } from '../path-info-service.js'
import { parseNixPathInfoLine, parseNixPathInfos } from './parse.js'

/** Options of {@link readNixPathInfos}. */
export interface ReadNixPathInfosOptions extends CallOptions {
  /** Whether it is a store path a line, instead of one document. Default: false. */
  readonly lines?: boolean | undefined
  /** The most bytes that a document, or a line, may have. Default: 256 MiB. */
  readonly maxSize?: number | undefined
}

const MAX_SIZE = 2 ** 28
const LINE_FEED = 0x0a

/**
 * Reads what Nix writes about store paths: a document in one of the forms of {@link parseNixPathInfos}, or an object a
 * line. Empty lines are passed over.
 *
 * @param source UTF-8 in pieces of any length
 * @throws StoreError `invalid-input`, `too-large`; what the source throws
 */
export async function readNixPathInfos(
  source: AsyncIterable<Uint8Array>,
  { lines = false, maxSize = MAX_SIZE, signal }: ReadNixPathInfosOptions = {},
): Promise<PathMetadata[]> {
  const infos: PathMetadata[] = []
  let number = 0
  const text = new LimitedText(maxSize, lines ? 'line' : 'document')
  const takeLine = (): void => {
    number++
    const line = text.take()
    if (line.trim() !== '') infos.push(parseNixPathInfoLine(line, number))
  }
  for await (const piece of source) {
    signal?.throwIfAborted()
    let start = 0
    for (let end = lines ? piece.indexOf(LINE_FEED) : -1; end >= 0; end = piece.indexOf(LINE_FEED, start)) {
      text.add(piece.subarray(start, end))
      takeLine()
      start = end + 1
    }
    text.add(piece.subarray(start))
  }
  if (!lines) return parseNixPathInfos(text.take())
  takeLine()
  return infos
}

/** Gathers bytes until they are wanted as text. */
class LimitedText {
  readonly #limit: number
  readonly #what: string
  #pieces: Buffer[] = []
  #length = 0

  constructor(limit: number, what: string) {
    this.#limit = limit
    this.#what = what
  }

  add(piece: Uint8Array): void {
    this.#length += piece.length
    if (this.#length > this.#limit) {
      throw new StoreError('too-large', `expected a ${this.#what} of at most ${this.#limit} bytes, got more`)
    }
    // Pieces belong to the source again when it is asked for the next.
    if (piece.length > 0) this.#pieces.push(Buffer.from(piece))
  }

  take(): string {
    const bytes = Buffer.concat(this.#pieces)
    this.#pieces = []
    this.#length = 0
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    } catch (error) {
      throw new StoreError('invalid-input', `expected a ${this.#what} in UTF-8`, undefined, { cause: error })
    }
  }
}
