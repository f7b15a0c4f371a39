import { createRequire } from 'node:module'
import { crc32 } from 'node:zlib'
import type * as Zstd from 'zstd-napi/binding.js'
import { EmbeddedStoreError } from './errors.js'

/**
 * The record format of segments, byte for byte as the README of this package draws it. Importers frame records in
 * worker threads with {@link packRecord} and hand whole runs of them to the store.
 */

/** Length of a record's header in bytes. */
export const RECORD_HEADER = 52
/** Length of a record's key in bytes. The keys of path infos are shorter: zeros fill the rest. */
export const KEY_LENGTH = 32
/** Where the key stands in a record, in bytes. */
export const KEY_OFFSET = 20
/** The longest content of one record, in bytes. */
export const MAX_RECORD_CONTENT = 1 << 28

const MAGIC = 0x3152564e // "NVR1", little-endian
const FLAG_ZSTD = 1

/** What a record holds. */
export const RecordKind = {
  /** Content: one chunk, or a whole blob that has no finer chunks. */
  content: 1,
  /** An entry of the table `blobs`. */
  blobs: 2,
  /** An entry of the table `directories`. */
  directories: 3,
  /** An entry of the table `pathInfos`. */
  pathInfos: 4,
  /** An entry of the table `roots`. */
  roots: 5,
  /** An entry of the table `uploads`. */
  uploads: 6,
} as const
export type RecordKind = (typeof RecordKind)[keyof typeof RecordKind]

/** A parsed record header. Lengths are in bytes. */
export interface RecordHeader {
  readonly kind: number
  readonly compressed: boolean
  readonly rawLength: number
  readonly storedLength: number
}

// The contexts of zstd are kept, and it is loaded at first use: opening a store should be quick.
let loaded: typeof Zstd | undefined
const zstd = (): typeof Zstd => {
  loaded ??= createRequire(import.meta.url)('zstd-napi/binding.js') as typeof Zstd
  return loaded
}
let compressor: Zstd.CCtx | undefined
let decompressor: Zstd.DCtx | undefined

/** The zstd level of stored frames: see docs/performance.md for the measurement behind it. */
export const COMPRESSION_LEVEL = 1
/** For small inputs the level would take tables of twice the size, which gain nothing and take longer. */
const HASH_LOG = 14
/** Content shorter than this is stored as it is: a frame would save less than it costs to make and to read. */
export const MIN_COMPRESSIBLE = 512
/** How much of a large piece of content is tried first, in bytes. */
const SAMPLE = 16 * 1024
/** Content that shrinks by less than one part in this many is stored as it is. */
const WORTH = 32

function tryCompress(out: Uint8Array, at: number, content: Uint8Array): number {
  const length = content.length
  if (length < MIN_COMPRESSIBLE) return 0
  if (compressor === undefined) {
    compressor = new (zstd().CCtx)()
    compressor.setParameter(zstd().CParameter.compressionLevel, COMPRESSION_LEVEL)
    compressor.setParameter(zstd().CParameter.hashLog, HASH_LOG)
  }
  const context = compressor
  const room = viewOf(out, at, out.length)
  if (length > 4 * SAMPLE) {
    // Incompressible content is found out by a sample from the middle, for a fraction of the price.
    const middle = (length - SAMPLE) >>> 1
    const sampled = context.compress2(room, content.subarray(middle, middle + SAMPLE))
    if (sampled > SAMPLE - SAMPLE / WORTH) return 0
  }
  const stored = context.compress2(room, content)
  return framePays(length, stored) ? stored : 0
}

/** How many bytes {@link packRecord} may need for content of `length` bytes. */
export function packedBound(length: number): number {
  return RECORD_HEADER + length + (length >>> 8) + 128
}

/**
 * Writes one record into `out` at `at`: the header, then `content` as a zstd frame, or as it is where a frame would
 * not pay. `out` must have {@link packedBound} bytes from `at` on; `content` must not lie in that range.
 *
 * @param salt the store's own number ({@link EmbeddedStore.salt}), from which checksums start
 * @returns the length of the record in bytes
 * @throws {@link EmbeddedStoreError} `invalid-input` for a key, content or room of a length that does not fit
 */
export function packRecord(
  out: Uint8Array,
  at: number,
  kind: RecordKind,
  key: Uint8Array,
  content: Uint8Array,
  salt: number,
): number {
  checkRoom(out, at, key, content.length)
  const payload = at + RECORD_HEADER
  const rawLength = content.length
  const compressed = tryCompress(out, payload, content)
  if (compressed > 0) return finishRecord(out, at, { kind, key, rawLength, storedLength: compressed }, salt)
  out.set(content, payload)
  return finishRecord(out, at, { kind, key, rawLength, storedLength: rawLength }, salt)
}

/** Whether content of `length` bytes is worth storing as a frame of `framed` bytes: reading it as it is costs less. */
export function framePays(length: number, framed: number): boolean {
  return length >= MIN_COMPRESSIBLE && framed <= length - Math.max(8, Math.floor(length / WORTH))
}

/**
 * As {@link packRecord}, of content that was compressed before.
 *
 * @param payload a zstd frame that gives `rawLength` bytes and is shorter than these, or the content itself; nobody
 *   checks it
 */
export function packPayload(
  out: Uint8Array,
  at: number,
  key: Uint8Array,
  rawLength: number,
  payload: Uint8Array,
  salt: number,
): number {
  checkRoom(out, at, key, rawLength)
  const storedLength = payload.length
  if (storedLength > rawLength) throw invalid('a payload may have', rawLength, storedLength)
  out.set(payload, at + RECORD_HEADER)
  return finishRecord(out, at, { kind: RecordKind.content, key, rawLength, storedLength }, salt)
}

function checkRoom(out: Uint8Array, at: number, key: Uint8Array, length: number): void {
  if (key.length !== KEY_LENGTH) throw invalid('a key must have', KEY_LENGTH, key.length)
  if (length > MAX_RECORD_CONTENT) throw invalid('a record may hold', MAX_RECORD_CONTENT, length)
  const bound = packedBound(length)
  if (out.length - at < bound) throw invalid('the record may need', bound, out.length - at)
}

interface RecordFacts {
  readonly kind: RecordKind
  readonly key: Uint8Array
  readonly rawLength: number
  /** Shorter than `rawLength` if it is a frame. */
  readonly storedLength: number
}

/** Writes the header before a payload that is there. @returns the length of the record in bytes */
function finishRecord(
  out: Uint8Array,
  at: number,
  { kind, key, rawLength, storedLength }: RecordFacts,
  salt: number,
): number {
  writeU32(out, at, MAGIC)
  out[at + 8] = kind
  out[at + 9] = storedLength < rawLength ? FLAG_ZSTD : 0
  writeU32(out, at + 12, rawLength)
  writeU32(out, at + 16, storedLength)
  out.set(key, at + KEY_OFFSET)
  const check = headerCheck(out, at, salt)
  out[at + 10] = check
  out[at + 11] = check >>> 8
  const end = at + RECORD_HEADER + storedLength
  writeU32(out, at + 4, crc32(viewOf(out, at + 8, end), salt))
  return end - at
}

function invalid(what: string, expected: number, actual: number): EmbeddedStoreError {
  return new EmbeddedStoreError('invalid-input', `${what} ${expected} bytes, there are ${actual}`)
}

function headerCheck(bytes: Uint8Array, at: number, salt: number): number {
  const start = (salt ^ (bytes[at + 8]! | (bytes[at + 9]! << 8))) >>> 0
  return crc32(viewOf(bytes, at + 12, at + RECORD_HEADER), start) & 0xffff
}

/**
 * Whether the header at `at` is one that this store wrote, going by its own short checksum. It spares whoever looks for
 * records in damaged bytes the checksum of a payload at every chance resemblance.
 */
export function headerHolds(bytes: Uint8Array, at: number, salt: number): boolean {
  const check = headerCheck(bytes, at, salt)
  return bytes[at + 10] === (check & 0xff) && bytes[at + 11] === check >>> 8
}

/** Reads the header at `at`, or returns undefined where none ends at or before `end`. No checksum is looked at. */
export function parseHeader(bytes: Uint8Array, at: number, end = bytes.length): RecordHeader | undefined {
  if (at + RECORD_HEADER > end || readU32(bytes, at) !== MAGIC) return undefined
  const flags = bytes[at + 9]!
  const rawLength = readU32(bytes, at + 12)
  const storedLength = readU32(bytes, at + 16)
  if (flags > FLAG_ZSTD || rawLength > MAX_RECORD_CONTENT) return undefined
  if (flags === FLAG_ZSTD ? storedLength >= rawLength : storedLength !== rawLength) return undefined
  return { kind: bytes[at + 8]!, compressed: flags === FLAG_ZSTD, rawLength, storedLength }
}

/** Whether the whole record at `at` is in `bytes` and its checksum holds. */
export function checksumHolds(bytes: Uint8Array, at: number, storedLength: number, salt: number): boolean {
  const end = at + RECORD_HEADER + storedLength
  return end <= bytes.length && readU32(bytes, at + 4) === crc32(viewOf(bytes, at + 8, end), salt)
}

/** Whether the record at `at` is for this key. */
export function keyMatches(bytes: Uint8Array, at: number, key: Uint8Array): boolean {
  for (let i = 0; i < KEY_LENGTH; i++) if (bytes[at + KEY_OFFSET + i] !== key[i]) return false
  return true
}

/**
 * Expands a zstd frame into `out`, which must be exactly as long as the record promises.
 *
 * @returns whether the frame gave exactly that many bytes
 */
export function expandInto(out: Uint8Array, frame: Uint8Array): boolean {
  decompressor ??= new (zstd().DCtx)()
  try {
    return decompressor.decompress(out, frame) === out.length
  } catch {
    return false
  }
}

/** As `subarray`, which of a Buffer takes twice as long. */
export function viewOf(bytes: Uint8Array, start: number, end: number): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset + start, end - start)
}

/** Length of the content of the record at `at`, once it is known that one is there. In bytes. */
export function rawLengthAt(bytes: Uint8Array, at: number): number {
  return readU32(bytes, at + 12)
}

/** Length of the whole record at `at`, likewise. */
export function recordLengthAt(bytes: Uint8Array, at: number): number {
  return RECORD_HEADER + readU32(bytes, at + 16)
}

export function readU32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0
}

export function writeU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value
  bytes[at + 1] = value >>> 8
  bytes[at + 2] = value >>> 16
  bytes[at + 3] = value >>> 24
}
