import { createRequire } from 'node:module'
import type { ByteSource } from './byte-source.js'
import { ArchiveError, reasonOf } from './errors.js'

/** So few bytes at a time, because a byte may become thousands, which the decoder gives out at once. */
const PIECE = 4096
/** What a stream may need in memory. `xz -9` needs 65 MiB. */
const MEMORY_LIMIT = 256 * 2 ** 20

/** The part of `lzma-native` that is used: liblzma itself, on the threads of libuv. */
interface Lzma {
  readonly CONCATENATED: number
  readonly Stream: new () => LzmaStream
}

interface LzmaStream {
  bufferHandler: (
    output: Uint8Array | null | undefined,
    taken: number | null | undefined,
    error: unknown,
  ) => void
  streamDecoder(options: { readonly memlimit: number; readonly flags: number }): void
  code(input: Uint8Array | null, asynchronous: boolean): void
  resetUnderlying(): void
}

interface LzmaEvent {
  readonly output: Uint8Array | null | undefined
  /** Whether the decoder is through with its input, well or not. */
  readonly done: boolean
  readonly error: unknown
}

/** The content of xz streams that follow one another, with padding between them. */
export async function* unxzed(source: ByteSource): AsyncGenerator<Uint8Array, void, undefined> {
  const lzma = load()
  const stream = new lzma.Stream()
  const events: LzmaEvent[] = []
  let wake = () => {}
  let busy = false
  stream.bufferHandler = (output, taken, error) => {
    const failed = error !== null && error !== undefined
    events.push({
      output,
      done: failed || (typeof taken === 'number' && taken > 0),
      error: failed ? error : undefined,
    })
    wake()
  }
  const next = async (): Promise<LzmaEvent> => {
    while (events.length === 0) {
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
    return events.shift()!
  }
  stream.streamDecoder({ memlimit: MEMORY_LIMIT, flags: lzma.CONCATENATED })
  try {
    for (let ended = false; !ended; ) {
      const input = await source.some(PIECE)
      ended = input === undefined
      // The decoder reads on a thread: what it is given must not change meanwhile.
      stream.code(input === undefined ? null : Buffer.from(input), true)
      busy = true
      while (busy) {
        const { output, done, error } = await next()
        busy = !done
        if (error !== undefined) throw xzError(error, source.offset)
        if (output !== null && output !== undefined && output.length > 0) yield output
      }
    }
  } finally {
    // Not under the feet of a thread that still works.
    while (busy) busy = !(await next()).done
    stream.resetUnderlying()
  }
}

function load(): Lzma {
  try {
    return createRequire(import.meta.url)('lzma-native') as Lzma
  } catch (cause) {
    throw new ArchiveError('compression-unsupported', `xz cannot be loaded: ${reasonOf(cause)}`, { cause })
  }
}

function xzError(cause: unknown, offset: number): ArchiveError {
  const kind = cause instanceof Error ? cause.name : ''
  if (kind === 'LZMA_BUF_ERROR') {
    return new ArchiveError('compressed-truncated', `the xz data ends too early, after ${offset} bytes`, {
      cause,
    })
  }
  if (kind === 'LZMA_MEMLIMIT_ERROR' || kind === 'LZMA_OPTIONS_ERROR' || kind === 'LZMA_UNSUPPORTED_CHECK') {
    return new ArchiveError('compression-unsupported', `xz data that cannot be read: ${reasonOf(cause)}`, {
      cause,
    })
  }
  return new ArchiveError('compressed-data', `damaged xz data before byte ${offset}: ${reasonOf(cause)}`, {
    cause,
  })
}
