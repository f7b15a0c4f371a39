import { createRequire } from 'node:module'
import type * as Zstd from 'zstd-napi/binding.js'

/**
 * Chunks as they rest in an object store: zstd frames without dictionary or checksum (spec 02 section 11.2). Ours tell
 * their content's length; those of the reference do not.
 */

// Loaded at first use, and its contexts are kept.
let loaded: typeof Zstd | undefined
const zstd = (): typeof Zstd => {
  loaded ??= createRequire(import.meta.url)('zstd-napi/binding.js') as typeof Zstd
  return loaded
}
const compressors = new Map<number, Zstd.CCtx>()
let decompressor: Zstd.DCtx | undefined

/** What the reference compresses at: zstd's default. */
const LEVEL = 3
/** Contents up to `SMALL` bytes become no smaller by it than by level 1, which takes half the time. */
const SMALL_LEVEL = 1
const SMALL = 16 * 1024
/** zstd's fastest: it looks for nothing, and takes what there is as it is. */
const STORED_LEVEL = -(1 << 17)
/** Of each so many bytes of a large chunk so many from their middle are tried first. */
const STRETCH = 256 * 1024
const SAMPLE = 16 * 1024
/** Content of which no sample shrinks by one part in this many is taken as it is. */
const WORTH = 32
/** Where a frame does not tell its content's length, this much room is tried first, in bytes. */
const FIRST_ROOM = 1024 * 1024
const NOTHING = new Uint8Array(0)

/** A frame that cannot be expanded: damaged, cut off, or longer than allowed. */
export class ChunkFrameError extends Error {
  override readonly name = 'ChunkFrameError'
  readonly code = 'bad-frame'
}

/** How many bytes a frame may need for content of `length` bytes. */
export function frameBound(length: number): number {
  return length + (length >>> 8) + 128
}

/**
 * Compresses a chunk into `out` at `at`, where {@link frameBound} bytes must be; `content` must not lie in that range.
 * Of a large one samples are tried first: where none shrinks, the frame has the content as it is.
 *
 * @returns the length of the frame in bytes
 */
export function frameChunk(out: Uint8Array, at: number, content: Uint8Array): number {
  const room = out.subarray(at)
  if (content.length <= SMALL) return compressAt(SMALL_LEVEL, room, content)
  const level = content.length > 4 * SAMPLE && !samplesShrink(room, content) ? STORED_LEVEL : LEVEL
  return compressAt(level, room, content)
}

/** Whether any sample of the content does. */
function samplesShrink(room: Uint8Array, content: Uint8Array): boolean {
  const count = Math.ceil(content.length / STRETCH)
  const stretch = content.length / count
  for (let index = 0; index < count; index++) {
    const from = Math.floor(stretch * (index + 0.5)) - SAMPLE / 2
    const length = compressAt(SMALL_LEVEL, room, content.subarray(from, from + SAMPLE))
    if (length <= SAMPLE - SAMPLE / WORTH) return true
  }
  return false
}

function compressAt(level: number, room: Uint8Array, content: Uint8Array): number {
  let compressor = compressors.get(level)
  if (compressor === undefined) {
    compressor = new (zstd().CCtx)()
    compressor.setParameter(zstd().CParameter.compressionLevel, level)
    compressors.set(level, compressor)
  }
  return compressor.compress2(room, content)
}

/** A chunk's frame in an array of its own. */
export function framedChunk(content: Uint8Array): Uint8Array {
  const out = Buffer.allocUnsafe(frameBound(content.length))
  return out.subarray(0, frameChunk(out, 0, content))
}

/**
 * Expands any number of zstd frames, one after the other. Never makes room for more than `limit` bytes.
 *
 * @param stored all of the object; no bytes at all give no content
 * @param limit the most bytes that may come out
 * @returns an array of its own
 * @throws ChunkFrameError
 */
export function expandChunk(stored: Uint8Array, limit: number): Uint8Array {
  if (stored.length === 0) return NOTHING
  decompressor ??= new (zstd().DCtx)()
  let room = Math.min(contentSize(stored) ?? FIRST_ROOM, limit)
  for (;;) {
    const out = new Uint8Array(Buffer.allocUnsafeSlow(room).buffer)
    try {
      const length = decompressor.decompress(out, stored)
      // What is kept should not hold much more memory than it needs.
      return length === room ? out : length * 2 > room ? out.subarray(0, length) : out.slice(0, length)
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      if (!/too small/i.test(message)) {
        throw new ChunkFrameError(`it is no whole zstd stream: ${message}`, { cause: error })
      }
      if (room >= limit) throw new ChunkFrameError(`it expands to more than ${limit} bytes`)
      // Several frames give more than the first one promises.
      room = Math.min(Math.max(room * 8, FIRST_ROOM), limit)
    }
  }
}

/** What the first frame says of its content's length, in bytes. A claim, no more. */
function contentSize(stored: Uint8Array): number | undefined {
  try {
    return zstd().getFrameContentSize(stored) ?? undefined
  } catch {
    return undefined
  }
}
