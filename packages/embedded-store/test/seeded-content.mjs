import { createHash } from 'node:crypto'

/** The key of the content that a seed stands for. */
export function keyOfSeed(seed) {
  return createHash('sha256').update(seed).digest()
}

/** Content that anybody can make again from its seed: some compresses, some does not, most is small. */
export function contentOf(seed) {
  const digest = keyOfSeed(seed)
  const length = digest[0] < 16 ? digest.readUInt16LE(1) : digest.readUInt16LE(1) % 3000
  if (digest[3] < 128) return Buffer.alloc(length, digest)
  return createHash('shake256', { outputLength: Math.max(length, 1) })
    .update(seed)
    .digest()
}
