import { getU64, padLength } from './wire-encode.js'
import { showBytes, WireError } from './wire-error.js'
import type { ByteSource } from './wire-source.js'

/** Inclusive limits of a length, in bytes. */
export interface LengthRange {
  /** Default: 0. */
  min?: number
  max: number
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Payloads up to this size are assembled in place; larger ones grow with the data. */
const IN_PLACE = 64 * 1024

/** Reads 8 little-endian bytes (spec 09 section 2). `unexpected-eof` if they do not come. */
export async function readU64(source: ByteSource): Promise<bigint> {
  if (source.window(8) < 8) await fill(source, 8, 'u64')
  const value = getU64(source.buffer, source.offset)
  source.advance(8)
  return value
}

/** Reads a u64; anything but 0 is true (spec 09 section 2). */
export async function readBool(source: ByteSource): Promise<boolean> {
  return (await readU64(source)) !== 0n
}

/**
 * Reads a length, a payload and its padding, and returns the payload as a buffer of the caller's own (spec 09
 * section 2.1). A length outside the range is `invalid-data` before anything past it is read; a truncated payload
 * or padding is `unexpected-eof`; padding other than zero is `invalid-data`.
 */
export async function readBytes(source: ByteSource, range: LengthRange): Promise<Uint8Array> {
  const length = await readLength(source, range)
  const padding = padLength(length)
  const payload = length <= IN_PLACE ? await readSmall(source, length) : await readGrowing(source, length)
  if (padding > 0) await readPadding(source, padding)
  return payload
}

/** `readBytes`, decoded strictly as UTF-8 (spec 09 section 2.1); `invalid-data` if it is not. */
export async function readString(source: ByteSource, range: LengthRange): Promise<string> {
  const offset = source.position + 8n
  const payload = await readBytes(source, range)
  try {
    return utf8.decode(payload)
  } catch {
    throw new WireError('invalid-data', 'string', { offset, expected: 'UTF-8', actual: showBytes(payload) })
  }
}

/**
 * Reads a count, then so many items with `read` (spec 09 section 2). A count outside the range is `invalid-data`
 * before any item is read.
 */
export async function readList<T>(
  source: ByteSource,
  range: LengthRange,
  read: (source: ByteSource) => Promise<T>,
): Promise<T[]> {
  const count = await readLength(source, range, 'list count')
  const items: T[] = []
  for (let index = 0; index < count; index++) items.push(await read(source))
  return items
}

async function readLength(source: ByteSource, range: LengthRange, what = 'length'): Promise<number> {
  const offset = source.position
  const length = await readU64(source)
  const { min = 0, max } = range
  if (length < BigInt(min) || length > BigInt(max)) {
    throw new WireError('invalid-data', `${what} out of range`, {
      offset,
      expected: `${min}..${max}`,
      actual: `${length}`,
    })
  }
  return Number(length)
}

async function readSmall(source: ByteSource, length: number): Promise<Uint8Array> {
  if (source.window(length) < length) await fill(source, length, 'payload')
  const payload = source.buffer.slice(source.offset, source.offset + length)
  source.advance(length)
  return payload
}

async function readGrowing(source: ByteSource, length: number): Promise<Uint8Array> {
  let payload = new Uint8Array(IN_PLACE)
  let filled = 0
  while (filled < length) {
    const piece = source.takeBuffered(length - filled)
    if (piece.length === 0) {
      if (!(await source.pull())) throw truncated(source, `${length - filled} more bytes of payload`)
      continue
    }
    if (filled + piece.length > payload.length) {
      const grown = new Uint8Array(Math.min(length, Math.max(filled + piece.length, payload.length * 2)))
      grown.set(payload.subarray(0, filled))
      payload = grown
    }
    payload.set(piece, filled)
    filled += piece.length
  }
  return payload.length === length ? payload : payload.slice(0, length)
}

async function readPadding(source: ByteSource, count: number): Promise<void> {
  if (source.window(count) < count) await fill(source, count, 'padding')
  const { buffer, offset } = source
  for (let index = 0; index < count; index++) {
    if (buffer[offset + index] !== 0) {
      throw new WireError('invalid-data', 'padding', {
        offset: source.position + BigInt(index),
        expected: 'zero bytes',
        actual: showBytes(buffer.subarray(offset + index, offset + count)),
      })
    }
  }
  source.advance(count)
}

/** Pulls until `count` bytes are at hand; `unexpected-eof` if the stream ends before. */
export async function fill(source: ByteSource, count: number, what: string): Promise<void> {
  while (source.window(count) < count) {
    if (!(await source.pull())) throw truncated(source, what)
  }
}

/** The error for a stream that ended where `what` should follow; its offset is the end of the stream. */
export function truncated(source: ByteSource, what: string): WireError {
  return new WireError('unexpected-eof', 'stream ended early', {
    offset: source.position + BigInt(source.buffered),
    expected: what,
    actual: 'end of stream',
  })
}
