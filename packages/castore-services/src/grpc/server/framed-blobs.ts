import { B3Digest, blake3, equalBytes } from '@neve/castore-model'
import { isFrameOf } from '@neve/embedded-store'
import { expandInto } from '@neve/embedded-store/record'
import { Status } from 'nice-grpc-common'
import { type FramedBlob, type FramedChunk, framedBlobs } from '../../blob/framed-blobs.js'
import type { BlobService } from '../../blob-service.js'
import type { CallOptions } from '../../call-options.js'
import { MAX_BATCH_BLOBS, MAX_FRAMED_BLOB, MAX_FRAMED_CHUNKS } from '../batch-definitions.js'
import { serverError } from './status.js'

/** What a client says is not believed: every frame is expanded, and hashed, before it is handed on. */
export async function putVerified(
  blobs: BlobService,
  sent: readonly FramedBlob[],
  options: CallOptions,
): Promise<void> {
  expectFew(sent)
  const framed = framedBlobs(blobs)
  if (framed !== undefined && (await framed.takesFrames(options))) {
    for (const blob of sent) verified(blob)
    await framed.putFramed(sent, options)
    return
  }
  await Promise.all(sent.map((blob) => blobs.put(new Uint8Array(verified(blob)), options)))
}

function expectFew(sent: readonly FramedBlob[]): void {
  const chunks = sent.reduce((sum, blob) => sum + blob.chunks.length, 0)
  if (sent.length > MAX_BATCH_BLOBS || chunks > MAX_FRAMED_CHUNKS) {
    const most = `${MAX_BATCH_BLOBS} blobs of ${MAX_FRAMED_CHUNKS} chunks`
    throw refused(`${sent.length} blobs of ${chunks} chunks in one call, expected at most ${most}`)
  }
  for (const { digest, chunks: own } of sent) {
    const size = own.reduce((sum, chunk) => sum + chunk.size, 0)
    if (size > MAX_FRAMED_BLOB) {
      throw refused(`blob ${digest} has ${size} bytes, expected at most ${MAX_FRAMED_BLOB}`)
    }
  }
}

/** Where content is expanded to, one blob at a time. */
const room = Buffer.allocUnsafeSlow(MAX_FRAMED_BLOB)

/** @returns the content, good until the next blob is looked at */
function verified({ digest, chunks }: FramedBlob): Uint8Array {
  let length = 0
  for (const chunk of chunks) {
    const content = room.subarray(length, length + chunk.size)
    expand(chunk, content)
    length += content.length
  }
  const content = room.subarray(0, length)
  if (chunks.length > 1) expectDigest('blob', digest, content)
  return content
}

function expand({ digest, size, frame }: FramedChunk, out: Uint8Array): void {
  if (size === 0 || !isFrameOf(frame, size))
    throw refused(`the frame of ${digest} is not one of ${size} bytes`)
  if (!expandInto(out, frame)) throw refused(`the frame of ${digest} does not give its ${size} bytes`)
  expectDigest('chunk', digest, out)
}

function expectDigest(what: string, expected: B3Digest, content: Uint8Array): void {
  const actual = blake3.digest(content)
  if (equalBytes(expected.bytes, actual)) return
  throw refused(`the ${what} hashes to ${B3Digest.from(actual)}, expected ${expected}`)
}

function refused(details: string): Error {
  return serverError(Status.INVALID_ARGUMENT, details)
}
