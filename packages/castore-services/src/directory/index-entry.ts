import { B3Digest, blake3 } from '@neve/castore-model'
import { expandChunk, framedChunk } from '../blob/chunk-frames.js'
import { FINGERPRINT_LENGTH } from './fingerprint-table.js'

/** A closure and the directories below its root. */
export interface IndexedClosure {
  readonly root: B3Digest
  /** The first eight bytes of each digest, side by side. */
  readonly fingerprints: Uint8Array
}

const DIGEST = 32
const COUNT = 4
/** The most bytes of an entry or of a pack of them. */
export const MAX_INDEX_OBJECT = 256 * 1024 * 1024

/**
 * An object of the index: a zstd frame of the BLAKE3 of everything that follows it, and then for each closure the root's
 * digest, how many fingerprints follow as big-endian u32, and those.
 */
export function encodeIndexed(closures: readonly IndexedClosure[]): Uint8Array {
  const length = closures.reduce(
    (sum, { fingerprints }) => sum + DIGEST + COUNT + fingerprints.length,
    DIGEST,
  )
  const raw = Buffer.allocUnsafe(length)
  let at = DIGEST
  for (const { root, fingerprints } of closures) {
    raw.set(root.bytes, at)
    at = raw.writeUInt32BE(fingerprints.length / FINGERPRINT_LENGTH, at + DIGEST)
    raw.set(fingerprints, at)
    at += fingerprints.length
  }
  raw.set(blake3.digest(raw.subarray(DIGEST)))
  return framedChunk(raw)
}

/** Reads an object of the index; undefined when it is damaged. */
export function decodeIndexed(stored: Uint8Array): IndexedClosure[] | undefined {
  let raw: Uint8Array
  try {
    raw = expandChunk(stored, MAX_INDEX_OBJECT)
  } catch {
    return undefined
  }
  if (raw.length < DIGEST) return undefined
  if (Buffer.compare(blake3.digest(raw.subarray(DIGEST)), raw.subarray(0, DIGEST)) !== 0) return undefined
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength)
  const closures: IndexedClosure[] = []
  for (let at = DIGEST; at < raw.length; ) {
    if (raw.length - at < DIGEST + COUNT) return undefined
    const root = B3Digest.from(raw.subarray(at, at + DIGEST))
    const length = view.getUint32(at + DIGEST) * FINGERPRINT_LENGTH
    at += DIGEST + COUNT
    if (length > raw.length - at) return undefined
    closures.push({ root, fingerprints: raw.subarray(at, at + length) })
    at += length
  }
  return closures
}
