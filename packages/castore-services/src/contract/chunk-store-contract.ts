import { B3Digest } from '@neve/castore-model'
import { describe, expect, it } from 'vitest'
import type { ChunkStore } from '../chunk-store.js'
import { BLOB_A, HELLO, randomBlob, sameBytes } from './blob-fixtures.js'
import { type ServiceFixture, useService } from './service-fixture.js'

const LARGE = randomBlob(5 * 1024 * 1024, 21)

/** What {@link chunkStoreContract} needs to know about an implementation. */
export interface ChunkStoreContractInit<S extends ChunkStore> extends ServiceFixture<S> {
  /**
   * Makes the stored bytes of a chunk wrong, behind the store's back. Then reads of it must fail, and storing it again
   * must heal it. Default: these cases are left out.
   */
  readonly damage?: ((store: NoInfer<S>, digest: B3Digest) => Promise<void>) | undefined
}

/**
 * Registers, with vitest, everything that every ChunkStore has to do (spec 10). Call it at the top level of a test file.
 *
 * @param name of the implementation, for the report
 */
export function chunkStoreContract<S extends ChunkStore>(
  name: string,
  init: ChunkStoreContractInit<S>,
): void {
  describe(`${name}: chunk store contract`, () => {
    const store = useService(init)
    chunkContentCases(store)
    chunkCallCases(store)
    const { damage } = init
    if (damage) chunkDamageCase(store, (digest) => damage(store(), digest))
  })
}

function chunkContentCases(store: () => ChunkStore): void {
  it('10#1 answers for an absent chunk without an error', async () => {
    expect(await store().has(BLOB_A.digest)).toBe(false)
    expect(await store().get(BLOB_A.digest)).toBeUndefined()
  })

  it('10#1 always has the empty chunk, and takes it', async () => {
    expect(await store().has(B3Digest.EMPTY)).toBe(true)
    expect(await store().get(B3Digest.EMPTY, { maxSize: 0 })).toHaveLength(0)
    expect((await store().put(new Uint8Array(0))).equals(B3Digest.EMPTY)).toBe(true)
  })

  it.each([
    ['BLOB_A', BLOB_A],
    ['HELLO', HELLO],
    ['5 MiB', LARGE],
  ])('10#2 gives %s back as it was put, however often', async (_name, { content, digest }) => {
    for (let round = 0; round < 2; round++) {
      expect((await store().put(content)).toString()).toBe(digest.toString())
      expect(await store().has(digest)).toBe(true)
      expect(sameBytes(await store().get(digest), content)).toBe(true)
    }
  })

  it('binds nobody by a size hint', async () => {
    await store().put(LARGE.content)
    for (const sizeHint of [0, 1, LARGE.content.length, 10 * LARGE.content.length]) {
      expect(sameBytes(await store().get(LARGE.digest, { sizeHint }), LARGE.content)).toBe(true)
      expect(await store().get(HELLO.digest, { sizeHint })).toBeUndefined()
    }
  })

  it('refuses a chunk above maxSize, and takes one of just that', async () => {
    await store().put(HELLO.content)
    const length = HELLO.content.length
    expect(sameBytes(await store().get(HELLO.digest, { maxSize: length }), HELLO.content)).toBe(true)
    for (const maxSize of [0, length - 1]) {
      await expect(store().get(HELLO.digest, { maxSize })).rejects.toMatchObject({ code: 'too-large' })
    }
  })

  it('does not keep the array that was put', async () => {
    const { content, digest } = randomBlob(1000, 22)
    const lent = new Uint8Array(content)
    await store().put(lent)
    lent.fill(0)
    expect(sameBytes(await store().get(digest), content)).toBe(true)
  })
}

function chunkCallCases(store: () => ChunkStore): void {
  it.each<[string, (signal: AbortSignal) => Promise<unknown>]>([
    ['has', (signal) => store().has(HELLO.digest, { signal })],
    ['has of the empty chunk', (signal) => store().has(B3Digest.EMPTY, { signal })],
    ['get', (signal) => store().get(HELLO.digest, { signal })],
    ['get of the empty chunk', (signal) => store().get(B3Digest.EMPTY, { signal })],
    ['put', (signal) => store().put(BLOB_A.content, { signal })],
  ])('rejects with the reason of a signal that has fired: %s', async (_name, call) => {
    await store().put(HELLO.content)
    const reason = new Error('not wanted any more')
    await expect(call(AbortSignal.abort(reason))).rejects.toBe(reason)
    expect(await store().has(BLOB_A.digest)).toBe(false)
  })

  it('takes and gives a hundred chunks at once', async () => {
    const chunks = Array.from({ length: 100 }, (_, index) => randomBlob(1 + index * 97, 100 + index))
    const twice = [...chunks, ...chunks]
    const digests = await Promise.all(twice.map(({ content }) => store().put(content)))
    for (const [index, digest] of digests.entries()) expect(digest.equals(twice[index]!.digest)).toBe(true)
    const read = await Promise.all(twice.map(({ digest }) => store().get(digest)))
    for (const [index, content] of read.entries()) {
      expect(sameBytes(content, twice[index]!.content)).toBe(true)
    }
    const present = await Promise.all(chunks.map(({ digest }) => store().has(digest)))
    expect(present.every(Boolean)).toBe(true)
  })
}

function chunkDamageCase(store: () => ChunkStore, damage: (digest: B3Digest) => Promise<void>): void {
  it.each([
    ['small', HELLO],
    ['large', LARGE],
  ])('never gives wrong bytes, and heals when the chunk is put again: %s', async (_name, blob) => {
    await store().put(blob.content)
    await damage(blob.digest)
    await expect(store().get(blob.digest)).rejects.toMatchObject({ code: 'data-loss' })
    await store().put(blob.content)
    expect(sameBytes(await store().get(blob.digest), blob.content)).toBe(true)
  })
}
