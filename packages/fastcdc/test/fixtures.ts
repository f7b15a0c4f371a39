import { createHash } from 'node:crypto'
import { createRequire } from 'node:module'

/** The 255 bytes 00 to fe, 4096 times (spec 02 section 17.1). */
export const blobB = Uint8Array.from({ length: 1044480 }, (_, position) => position % 255)

const blocks: Uint8Array[] = []

/** R(n) of spec 02 section 17.3: the first n bytes of SHA-256(BE32(0)), SHA-256(BE32(1)), … */
export function pseudoRandom(length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  for (let offset = 0; offset < length; offset += 32) {
    bytes.set(block(offset / 32).subarray(0, length - offset), offset)
  }
  return bytes
}

function block(index: number): Uint8Array {
  const known = blocks[index]
  if (known !== undefined) return known
  const counter = new Uint8Array(4)
  new DataView(counter.buffer).setUint32(0, index)
  const made = createHash('sha256').update(counter).digest()
  blocks[index] = made
  return made
}

// The chunker hashes nothing itself, so the digests of section 17.3 are made by the neighbour's native BLAKE3.
const blake = createRequire(new URL('../../castore-model/package.json', import.meta.url))(
  '@napi-rs/blake-hash',
) as {
  blake3(bytes: Buffer): { toString(encoding: 'hex'): string }
}

export function blake3Hex(bytes: Uint8Array): string {
  return blake.blake3(Buffer.from(bytes)).toString('hex')
}
