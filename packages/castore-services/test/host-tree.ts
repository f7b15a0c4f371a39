import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { B3Digest } from '@neve/castore-model'
import { type BlobService, blobStream } from '@neve/castore-services'
import { Cutter } from '@neve/fastcdc'
import { SeededRandom } from '../src/contract/random.js'

/** The tree "complicated" of spec 06 section 9, in a new folder of that name. */
export function makeComplicated(folder: string): string {
  const root = join(folder, 'complicated')
  mkdirSync(join(root, 'keep'), { recursive: true })
  writeFileSync(join(root, '.keep'), '')
  symlinkSync('/nix/store/somewhereelse', join(root, 'aa'))
  writeFileSync(join(root, 'keep', '.keep'), '')
  return root
}

/** A folder of `count` files, most of them small and different, in folders of up to 40. */
export function makeFiles(root: string, count: number, seed = 1): string {
  const random = new SeededRandom(seed)
  for (let made = 0; made < count; ) {
    const folder = join(root, `${made}`)
    mkdirSync(folder, { recursive: true })
    for (let left = Math.min(random.between(1, 40), count - made); left > 0; left--, made++) {
      writeFileSync(join(folder, `file ${made}`), random.bytes(random.between(0, 3000)), {
        mode: made % 5 === 0 ? 0o755 : 0o644,
      })
    }
  }
  return root
}

/** What FastCDC makes of a content: nothing finer than itself, or its pieces. */
export function expectedChunks(content: Uint8Array): { digest: string; size: bigint }[] {
  const cutter = new Cutter()
  const chunks: { digest: string; size: bigint }[] = []
  for (let at = 0; at < content.length; ) {
    const length = cutter.cut(content, at, content.length, true)
    const digest = B3Digest.of(content.subarray(at, at + length)).toHex()
    chunks.push({ digest, size: BigInt(length) })
    at += length
  }
  return chunks.length > 1 ? chunks : []
}

/** The whole of a blob, read through its reader. */
export async function contentOf(blobs: BlobService, digest: B3Digest): Promise<Buffer> {
  const reader = await blobs.open(digest)
  if (reader === undefined) throw new Error(`no blob ${digest}`)
  await using held = reader
  const pieces: Uint8Array[] = []
  for await (const piece of blobStream(held)) pieces.push(new Uint8Array(piece))
  return Buffer.concat(pieces)
}
