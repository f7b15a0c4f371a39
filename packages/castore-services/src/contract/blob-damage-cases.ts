import type { B3Digest } from '@neve/castore-model'
import { expect, it } from 'vitest'
import { blobStream } from '../blob/stream.js'
import type { BlobService } from '../blob-service.js'
import { BLOB_B, collectBytes, HELLO, randomBlob, readBlob, sameBytes, writeBlob } from './blob-fixtures.js'

const LARGE = randomBlob(5 * 1024 * 1024, 8)
const BLOBS = [
  ['small', HELLO],
  ['BLOB_B', BLOB_B],
  ['large', LARGE],
] as const

/** What becomes of stored content that is wrong (DESIGN decisions 9 and 10). */
export function blobDamageCases(
  service: () => BlobService,
  damage: (digest: B3Digest) => Promise<void>,
): void {
  it.each(BLOBS)('02#27 never gives wrong bytes: %s', async (_name, { content, digest }) => {
    await writeBlob(service(), content)
    await damage(digest)
    const loss = { code: 'data-loss' }
    await expect(service().get(digest, { maxSize: content.length })).rejects.toMatchObject(loss)
    const stream = async () => {
      await using reader = await service().open(digest)
      return await collectBytes(blobStream(reader!))
    }
    await expect(stream()).rejects.toMatchObject(loss)
    const positional = async () => {
      await using reader = await service().open(digest)
      return await reader!.readAt(0n, content.length)
    }
    await expect(positional()).rejects.toMatchObject(loss)
  })

  it.each(BLOBS)('heals when it is stored again: %s', async (_name, { content, digest }) => {
    for (const store of [() => writeBlob(service(), content), () => service().put(content)]) {
      await store()
      await damage(digest)
      expect((await store()).equals(digest)).toBe(true)
      expect(sameBytes(await readBlob(service(), digest), content)).toBe(true)
      expect(sameBytes(await service().get(digest, { maxSize: content.length }), content)).toBe(true)
    }
  })
}
