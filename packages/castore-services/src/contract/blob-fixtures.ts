import { B3Digest } from '@neve/castore-model'
import { blobStream } from '../blob/stream.js'
import type { BlobReader, BlobService } from '../blob-service.js'
import { SeededRandom } from './random.js'

/** A blob and its digest, which was computed independently (spec 02 section 17.1). */
export interface BlobFixture {
  readonly content: Uint8Array
  readonly digest: B3Digest
}

function fixture(content: Uint8Array, hex: string): BlobFixture {
  return { content, digest: B3Digest.parse(hex) }
}

export const BLOB_A = fixture(
  Uint8Array.of(0, 1),
  '7b7015bb92cf0b318037702a6cdd81dee41224f734684c2c122cd6359cb1ee63',
)

/** The bytes 0 to 254, 4096 times: one MiB less 4096 bytes. */
export const BLOB_B = fixture(
  Uint8Array.from({ length: 255 * 4096 }, (_, index) => index % 255),
  'a82c5154a7a0c262c6fdb929a317585646f8fbcf80326d0a7b8747edaf2d99d2',
)

export const HELLO = fixture(
  new TextEncoder().encode('Hello World!'),
  '5ca7815adcb484e9a136c11efe69c1d530176d549b5d18d038eb5280b4b3470c',
)

/** Bytes that neither repeat nor shrink; the digest is ours. */
export function randomBlob(length: number, seed: number): BlobFixture {
  const content = new SeededRandom(seed).bytes(length)
  return { content, digest: B3Digest.of(content) }
}

/** Writes a blob in pieces of the given sizes, over and over; in one piece without. */
export async function writeBlob(
  blobs: Pick<BlobService, 'openWrite'>,
  content: Uint8Array,
  ...pieces: number[]
): Promise<B3Digest> {
  await using writer = blobs.openWrite()
  let at = 0
  for (let index = 0; at < content.length; index++) {
    const size = pieces[index % pieces.length] ?? content.length
    await writer.write(content.subarray(at, at + size))
    at += size
  }
  return await writer.close()
}

/** All bytes of a stream, in a new array. */
export async function collectBytes(source: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  let length = 0
  for await (const piece of source) {
    pieces.push(new Uint8Array(piece))
    length += piece.length
  }
  const bytes = new Uint8Array(length)
  let at = 0
  for (const piece of pieces) {
    bytes.set(piece, at)
    at += piece.length
  }
  return bytes
}

/** Reads a blob by a stream; undefined when the service does not have it. */
export async function readBlob(
  blobs: Pick<BlobService, 'open'>,
  digest: B3Digest,
): Promise<Uint8Array | undefined> {
  const reader: BlobReader | undefined = await blobs.open(digest)
  if (reader === undefined) return undefined
  await using held = reader
  return await collectBytes(blobStream(held))
}

/** Whether two arrays hold the same bytes: a matcher would print a megabyte on failure, and take seconds. */
export function sameBytes(actual: Uint8Array | undefined, expected: Uint8Array): boolean {
  if (actual?.length !== expected.length) return false
  for (let index = 0; index < expected.length; index++) if (actual[index] !== expected[index]) return false
  return true
}
