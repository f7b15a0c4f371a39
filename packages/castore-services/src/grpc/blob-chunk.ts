import { snix } from '@neve/castore-model/proto'
import type { MessageCodec } from './service-definition.js'

const { BlobChunk } = snix.castore.v1
const DATA_TAG = 0x0a

/** The most bytes before the data of a message: a tag, and a length of up to 32 bits. */
export const BLOB_CHUNK_HEADER = 6

/**
 * Writes what comes before the data of a `BlobChunk`, so that it ends at `end`.
 *
 * @returns where it begins
 */
export function writeBlobChunkHeader(out: Uint8Array, end: number, length: number): number {
  // No data is no field at all.
  if (length === 0) return end
  let digits = 1
  for (let rest = length >>> 7; rest > 0; rest >>>= 7) digits += 1
  const start = end - digits - 1
  out[start] = DATA_TAG
  for (let index = 1, rest = length; index <= digits; index++, rest >>>= 7) {
    out[start + index] = index < digits ? (rest & 0x7f) | 0x80 : rest
  }
  return start
}

function encode(data: Uint8Array): Uint8Array {
  const out = Buffer.allocUnsafe(BLOB_CHUNK_HEADER + data.length)
  out.set(data, BLOB_CHUNK_HEADER)
  return out.subarray(writeBlobChunkHeader(out, BLOB_CHUNK_HEADER, data.length))
}

function pieces(data: Uint8Array): readonly Uint8Array[] {
  const header = Buffer.allocUnsafe(BLOB_CHUNK_HEADER)
  return [header.subarray(writeBlobChunkHeader(header, BLOB_CHUNK_HEADER, data.length)), data]
}

/** The data, as a view of the message where it has nothing else in it. */
function decode(bytes: Uint8Array): Uint8Array {
  if (bytes[0] === DATA_TAG) {
    let length = 0
    let at = 1
    let shift = 0
    for (; shift < 28; shift += 7) {
      const byte = bytes[at++] ?? 0
      length |= (byte & 0x7f) << shift
      if (byte < 0x80) break
    }
    if (shift < 28 && at + length === bytes.length) {
      return new Uint8Array(bytes.buffer, bytes.byteOffset + at, length)
    }
  }
  return BlobChunk.decode(bytes).data
}

/**
 * `BlobChunk`, of which only the data matters. Written by hand: the generated code is right, and copies once more.
 * What it decodes is a view of the message.
 */
export const blobChunk: MessageCodec<Uint8Array> = { encode, decode, pieces }

/** A `BlobChunk` that was encoded already, header and all. */
export const encodedBlobChunk: MessageCodec<Uint8Array> = { encode: (bytes) => bytes, decode }
