import { B3Digest } from '@neve/castore-model'
import { expect, it } from 'vitest'
import type { BlobService } from '../blob-service.js'
import { BLOB_A, BLOB_B, HELLO, randomBlob, readBlob, sameBytes, writeBlob } from './blob-fixtures.js'

const LARGE = randomBlob(3 * 1024 * 1024 + 1, 6)

/** What a writer and a put do (spec 02 sections 4 and 18.8). */
export function blobWriteCases(service: () => BlobService, footprint?: () => unknown): void {
  it('02#23 gives the same digest on a second close', async () => {
    const writer = service().openWrite()
    await writer.write(HELLO.content)
    expect((await writer.close()).equals(HELLO.digest)).toBe(true)
    expect((await writer.close()).equals(HELLO.digest)).toBe(true)
    await writer.abort()
    await writer[Symbol.asyncDispose]()
    expect((await writer.close()).equals(HELLO.digest)).toBe(true)
    expect(await service().has(HELLO.digest)).toBe(true)
  })

  it('02#23 refuses to write or flush after close', async () => {
    const writer = service().openWrite()
    await writer.close()
    await expect(writer.write(HELLO.content)).rejects.toMatchObject({ code: 'closed' })
    await expect(writer.write(new Uint8Array(0))).rejects.toMatchObject({ code: 'closed' })
    await expect(writer.flush()).rejects.toMatchObject({ code: 'closed' })
  })

  it('02#23 stores the empty blob when nothing was written', async () => {
    await using writer = service().openWrite()
    await writer.write(new Uint8Array(0))
    await writer.flush()
    expect((await writer.close()).equals(B3Digest.EMPTY)).toBe(true)
    expect((await service().put(new Uint8Array(0))).equals(B3Digest.EMPTY)).toBe(true)
    expect(await service().has(B3Digest.EMPTY)).toBe(true)
  })

  it.each([
    ['small', HELLO],
    ['large', LARGE],
  ])('02#23 leaves no %s blob behind without close', async (_name, { content, digest }) => {
    const abandoned = service().openWrite()
    await abandoned.write(content)
    await abandoned.flush()
    expect(await service().has(digest)).toBe(false)
    expect(await service().open(digest)).toBeUndefined()
    expect(await service().chunks(digest)).toBeUndefined()
    expect(await service().get(digest, { maxSize: content.length })).toBeUndefined()
    await abandoned[Symbol.asyncDispose]()
    expect(await service().has(digest)).toBe(false)
    expect(await service().open(digest)).toBeUndefined()
  })

  it('finishes a close that runs when it is disposed of', async () => {
    const writer = service().openWrite()
    await writer.write(HELLO.content)
    const closing = writer.close()
    await writer[Symbol.asyncDispose]()
    expect((await closing).equals(HELLO.digest)).toBe(true)
    expect(await service().has(HELLO.digest)).toBe(true)
  })

  it('does nothing but refuse after abort', async () => {
    const writer = service().openWrite()
    await writer.write(HELLO.content)
    const reason = new Error('the source failed')
    await writer.abort(reason)
    await writer.abort()
    await expect(writer.write(HELLO.content)).rejects.toMatchObject({ code: 'aborted', cause: reason })
    await expect(writer.flush()).rejects.toMatchObject({ code: 'aborted', cause: reason })
    await expect(writer.close()).rejects.toMatchObject({ code: 'aborted', cause: reason })
    expect(await service().has(HELLO.digest)).toBe(false)
  })

  it('stores a blob after an abandoned attempt at it', async () => {
    const abandoned = service().openWrite()
    await abandoned.write(LARGE.content)
    await abandoned.abort()
    expect((await writeBlob(service(), LARGE.content)).equals(LARGE.digest)).toBe(true)
    expect(sameBytes(await readBlob(service(), LARGE.digest), LARGE.content)).toBe(true)
  })

  it('02#24 stores a blob again without harm', async () => {
    for (const { content, digest } of [BLOB_A, BLOB_B, LARGE]) {
      expect((await writeBlob(service(), content)).equals(digest)).toBe(true)
      expect((await writeBlob(service(), content)).equals(digest)).toBe(true)
      expect((await service().put(content)).equals(digest)).toBe(true)
      expect(sameBytes(await readBlob(service(), digest), content)).toBe(true)
    }
  })

  if (footprint !== undefined) {
    it('02#24 writes nothing for a blob that is there', async () => {
      const blobs = [BLOB_A, BLOB_B, LARGE]
      for (const { content } of blobs) await writeBlob(service(), content)
      const before = await footprint()
      for (const { content } of blobs) {
        await writeBlob(service(), content)
        await service().put(content)
      }
      expect(await footprint()).toEqual(before)
    })
  }

  it.each([
    ['1 MiB', [1024 * 1024]],
    ['one byte and then much', [1, 3 * 1024 * 1024]],
    ['odd sizes', [7, 4096, 1, 131071, 0, 65537]],
    ['4 KiB', [4096]],
  ])('does not care how the bytes are split: %s', async (_name, pieces) => {
    const whole = await writeBlob(service(), LARGE.content)
    const chunks = await service().chunks(whole)
    expect(whole.equals(LARGE.digest)).toBe(true)
    const again = await writeBlob(service(), LARGE.content, ...pieces)
    expect(again.equals(LARGE.digest)).toBe(true)
    expect(await service().chunks(again)).toEqual(chunks)
    expect(sameBytes(await readBlob(service(), again), LARGE.content)).toBe(true)
  })

  it('does not keep the bytes it was given', async () => {
    const reused = new Uint8Array(LARGE.content)
    await using writer = service().openWrite()
    await writer.write(reused)
    reused.fill(7)
    await writer.write(reused.subarray(0, 1))
    reused.fill(9)
    const expected = new Uint8Array([...LARGE.content, 7])
    const digest = await writer.close()
    expect(digest.equals(B3Digest.of(expected))).toBe(true)
    expect(sameBytes(await readBlob(service(), digest), expected)).toBe(true)

    const small = new Uint8Array(HELLO.content)
    await service().put(small)
    small.fill(7)
    expect(sameBytes(await service().get(HELLO.digest), HELLO.content)).toBe(true)
  })

  it('keeps the order of calls that nobody waited for', async () => {
    const writer = service().openWrite()
    const writes = Array.from({ length: 50 }, (_, index) =>
      writer.write(LARGE.content.subarray(index * 1000, (index + 1) * 1000)),
    )
    const closing = writer.close()
    await Promise.all(writes)
    expect((await closing).equals(B3Digest.of(LARGE.content.subarray(0, 50_000)))).toBe(true)
  })
}
