import { B3Digest } from '@neve/castore-model'
import { neve } from '@neve/castore-model/proto'
import type { FramedBlob, FramedChunk } from '../blob/framed-blobs.js'
import type { MessageCodec } from './service-definition.js'

const { PutFramedBlobsRequest } = neve.castore.v1
/** Of the field `frames`, which is written by hand: the generated code would copy it once more. */
const FRAMES_TAG = 0x2a
const MAX_LENGTH_BYTES = 5

/**
 * `PutFramedBlobsRequest`: blobs in a few long fields, instead of a message each. What it decodes is views of the
 * message.
 */
export const putFramedRequest: MessageCodec<readonly FramedBlob[]> = { encode, decode }

function encode(blobs: readonly FramedBlob[]): Uint8Array {
  const counts: number[] = []
  const digests: Uint8Array[] = []
  const sizes: number[] = []
  const lengths: number[] = []
  let total = 0
  for (const { digest, chunks } of blobs) {
    counts.push(chunks.length)
    digests.push(digest.bytes)
    for (const chunk of chunks) {
      if (chunks.length > 1) digests.push(chunk.digest.bytes)
      sizes.push(chunk.size)
      lengths.push(chunk.frame.length)
      total += chunk.frame.length
    }
  }
  const head = PutFramedBlobsRequest.encode({
    chunk_counts: counts,
    digests: Buffer.concat(digests),
    sizes,
    frame_lengths: lengths,
  }).finish()
  const out = Buffer.allocUnsafe(head.length + 1 + MAX_LENGTH_BYTES + total)
  out.set(head)
  let at = head.length
  out[at++] = FRAMES_TAG
  let rest = total
  for (; rest > 0x7f; rest >>>= 7) out[at++] = (rest & 0x7f) | 0x80
  out[at++] = rest
  for (const { chunks } of blobs) {
    for (const { frame } of chunks) {
      out.set(frame, at)
      at += frame.length
    }
  }
  return out.subarray(0, at)
}

function decode(bytes: Uint8Array): readonly FramedBlob[] {
  const { chunk_counts, digests, sizes, frame_lengths, frames } = PutFramedBlobsRequest.decode(bytes)
  const frameEnds = new Walk('bytes of frames', frames.length)
  const digestEnds = new Walk('bytes of digests', digests.length)
  const chunksLeft = new Walk('chunks', sizes.length)
  if (frame_lengths.length !== sizes.length) {
    throw new Error(`${frame_lengths.length} lengths of frames, expected ${sizes.length}`)
  }
  const nextDigest = (): B3Digest => {
    const at = digestEnds.take(B3Digest.LENGTH)
    return B3Digest.from(digests.subarray(at, at + B3Digest.LENGTH))
  }
  const blobs = chunk_counts.map((count): FramedBlob => {
    if (count === 0) throw new Error('a blob without chunks')
    const digest = nextDigest()
    const first = chunksLeft.take(count)
    const chunks = Array.from({ length: count }, (_, index): FramedChunk => {
      const length = frame_lengths[first + index]!
      const at = frameEnds.take(length)
      return {
        digest: count === 1 ? digest : nextDigest(),
        size: sizes[first + index]!,
        frame: frames.subarray(at, at + length),
      }
    })
    return { digest, chunks }
  })
  for (const walk of [frameEnds, digestEnds, chunksLeft]) walk.end()
  return blobs
}

/** Goes through something of a given length, to its end and no further. */
class Walk {
  #at = 0

  constructor(
    readonly what: string,
    readonly length: number,
  ) {}

  /** @returns where the next so many begin */
  take(count: number): number {
    const from = this.#at
    this.#at += count
    if (this.#at > this.length) throw new Error(`too few ${this.what}: ${this.length}`)
    return from
  }

  end(): void {
    if (this.#at < this.length) throw new Error(`${this.length - this.#at} ${this.what} too many`)
  }
}
