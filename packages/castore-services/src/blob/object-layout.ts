import type { B3Digest } from '@neve/castore-model'

/**
 * Where an object store keeps what, to the letter as the reference does (spec 02 section 11.1, spec 03 section 9.1):
 *
 * - `blobs`: what a blob is made of
 * - `chunks`: the bytes of a chunk, or of a blob that has only one
 * - `chunk`: the same as newest Snix writes it; read, never written (spec 10 section 4)
 * - `dirs`: a closure of directories, by the digest of its root
 */
export type ObjectFolder = 'blobs' | 'chunks' | 'chunk' | 'dirs'

/** The key of an object: sharded after the fourth hex digit. */
export function objectKey(folder: ObjectFolder, digest: B3Digest): string {
  const { buffer, byteOffset, byteLength } = digest.bytes
  const hex = Buffer.from(buffer, byteOffset, byteLength).toString('hex')
  return `${folder}/b3/${hex.slice(0, 4)}/${hex}`
}
