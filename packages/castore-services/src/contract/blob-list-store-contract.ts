import { B3Digest } from '@neve/castore-model'
import { describe, expect, it } from 'vitest'
import type { BlobListStore } from '../blob-list-store.js'
import type { ChunkMeta } from '../blob-service.js'
import type { ChunkStore } from '../chunk-store.js'
import { BLOB_A, HELLO, randomBlob } from './blob-fixtures.js'
import { type ServiceFixture, useService } from './service-fixture.js'

/** Both halves, of which the list store is tested: a list may have to come after its chunks. */
export interface SplitStores {
  readonly chunks: ChunkStore
  readonly lists: BlobListStore
  close?(): Promise<void>
}

/** What {@link blobListStoreContract} needs to know about an implementation. */
export interface BlobListStoreContractInit<S extends SplitStores> extends ServiceFixture<S> {
  /** Whether `put` finds out that a chunk is not stored. Default: false. */
  readonly knowsChunks?: boolean | undefined
  /** Whether `put` finds out that the chunks make up another blob. Default: false. */
  readonly verifies?: boolean | undefined
  /** Whether `get` gives just the chunks that were put, not others that make up the same blob. Default: true. */
  readonly keepsLists?: boolean | undefined
}

/** A blob in chunks. */
interface Cut {
  readonly digest: B3Digest
  readonly pieces: readonly Uint8Array[]
  readonly list: readonly ChunkMeta[]
}

function cut(content: Uint8Array, ...ends: number[]): Cut {
  const pieces = [...ends, content.length].map((end, index) => content.subarray(ends[index - 1] ?? 0, end))
  const list = pieces.map((piece) => ({ digest: B3Digest.of(piece), size: BigInt(piece.length) }))
  return { digest: B3Digest.of(content), pieces, list }
}

const FIVE = cut(
  Uint8Array.from({ length: 16 }, (_, index) => index),
  2,
  6,
  7,
  9,
)
const LARGE = cut(randomBlob(3_000_000, 31).content, 1_000_000, 2_200_000)
const ONE = cut(HELLO.content)

/**
 * Registers, with vitest, everything that every BlobListStore has to do (spec 10). Call it at the top level of a test
 * file.
 *
 * @param name of the implementation, for the report
 */
export function blobListStoreContract<S extends SplitStores>(
  name: string,
  init: BlobListStoreContractInit<S>,
): void {
  describe(`${name}: blob list store contract`, () => {
    const stores = useService(init)
    contentCases(stores, init.keepsLists ?? true)
    refusalCases(stores)
    checkCases(stores, init)
    callCases(stores)
  })
}

async function putChunks({ chunks }: SplitStores, blob: Cut): Promise<void> {
  for (const piece of blob.pieces) await chunks.put(piece)
}

function contentCases(stores: () => SplitStores, keepsLists: boolean): void {
  it('10#1 answers for an absent blob without an error', async () => {
    expect(await stores().lists.has(FIVE.digest)).toBe(false)
    expect(await stores().lists.get(FIVE.digest)).toBeUndefined()
  })

  it('10#3 always has the empty blob, with no chunks', async () => {
    await stores().lists.put(B3Digest.EMPTY, [])
    await stores().lists.put(B3Digest.EMPTY, [{ digest: B3Digest.EMPTY, size: 0n }])
    expect(await stores().lists.has(B3Digest.EMPTY)).toBe(true)
    expect(await stores().lists.get(B3Digest.EMPTY)).toEqual([])
  })

  it.each([
    ['one chunk', ONE],
    ['five chunks', FIVE],
    ['large chunks', LARGE],
  ])('10#3 gives the list of a blob of %s, however often it was put', async (_name, blob) => {
    await putChunks(stores(), blob)
    for (let round = 0; round < 2; round++) {
      await stores().lists.put(blob.digest, blob.list)
      expect(await stores().lists.has(blob.digest)).toBe(true)
      const list = await stores().lists.get(blob.digest)
      if (keepsLists) expect(list).toEqual(blob.list)
      else expect(list?.reduce((sum, { size }) => sum + size, 0n)).toBe(blobSize(blob))
    }
  })

  it('10#3 drops entries of size 0', async () => {
    const nothing = { digest: B3Digest.EMPTY, size: 0n }
    for (const blob of [ONE, FIVE]) {
      await putChunks(stores(), blob)
      const list = blob.list.flatMap((chunk) => [nothing, chunk])
      await stores().lists.put(blob.digest, [...list, nothing])
      const stored = await stores().lists.get(blob.digest)
      expect(stored?.every(({ size }) => size > 0n)).toBe(true)
      if (keepsLists) expect(stored).toEqual(blob.list)
    }
  })
}

function refusalCases(stores: () => SplitStores): void {
  it.each<[string, B3Digest, readonly ChunkMeta[]]>([
    ['no chunks of a blob with bytes', FIVE.digest, []],
    ['only empty chunks of a blob with bytes', FIVE.digest, [{ digest: B3Digest.EMPTY, size: 0n }]],
    ['chunks of the empty blob', B3Digest.EMPTY, FIVE.list],
    ['one chunk that is another blob', FIVE.digest, FIVE.list.slice(0, 1)],
    ['a list that names the blob', FIVE.digest, [...FIVE.list, { digest: FIVE.digest, size: 16n }]],
    ['more than 2 GiB in a chunk of several', FIVE.digest, FIVE.list.map((c) => ({ ...c, size: 2n ** 31n }))],
    ['a negative size', FIVE.digest, FIVE.list.map((c) => ({ ...c, size: -1n }))],
  ])('10#1 refuses %s', async (_name, digest, list) => {
    await putChunks(stores(), FIVE)
    await expect(stores().lists.put(digest, list)).rejects.toMatchObject({ code: 'invalid-request' })
    if (!digest.equals(B3Digest.EMPTY)) expect(await stores().lists.has(digest)).toBe(false)
  })
}

function checkCases(
  stores: () => SplitStores,
  {
    knowsChunks = false,
    verifies = false,
  }: Pick<BlobListStoreContractInit<SplitStores>, 'knowsChunks' | 'verifies'>,
): void {
  it.runIf(knowsChunks)('10#1 refuses a list before its chunks', async () => {
    for (const piece of FIVE.pieces.slice(1)) await stores().chunks.put(piece)
    const missing = { code: 'incomplete' }
    await expect(stores().lists.put(FIVE.digest, FIVE.list)).rejects.toMatchObject(missing)
    await expect(stores().lists.put(ONE.digest, ONE.list)).rejects.toMatchObject(missing)
    expect(await stores().lists.has(FIVE.digest)).toBe(false)
    expect(await stores().lists.has(ONE.digest)).toBe(false)
    await stores().chunks.put(FIVE.pieces[0]!)
    await stores().lists.put(FIVE.digest, FIVE.list)
    expect(await stores().lists.has(FIVE.digest)).toBe(true)
  })

  it.runIf(verifies).each<[string, readonly ChunkMeta[]]>([
    ['in another order', [...FIVE.list].reverse()],
    ['too few', FIVE.list.slice(1)],
    ['of other sizes', FIVE.list.map(({ digest, size }) => ({ digest, size: size + 1n }))],
  ])('10#1 refuses chunks that make up another blob: %s', async (_name, list) => {
    await putChunks(stores(), FIVE)
    await expect(stores().lists.put(FIVE.digest, list)).rejects.toMatchObject({ code: 'invalid-request' })
    expect(await stores().lists.has(FIVE.digest)).toBe(false)
  })
}

function callCases(stores: () => SplitStores): void {
  it.each<[string, (signal: AbortSignal) => Promise<unknown>]>([
    ['has', (signal) => stores().lists.has(ONE.digest, { signal })],
    ['has of the empty blob', (signal) => stores().lists.has(B3Digest.EMPTY, { signal })],
    ['get', (signal) => stores().lists.get(ONE.digest, { signal })],
    ['get of the empty blob', (signal) => stores().lists.get(B3Digest.EMPTY, { signal })],
    ['put', (signal) => stores().lists.put(FIVE.digest, FIVE.list, { signal })],
  ])('rejects with the reason of a signal that has fired: %s', async (_name, call) => {
    for (const blob of [ONE, FIVE]) await putChunks(stores(), blob)
    await stores().lists.put(ONE.digest, ONE.list)
    const reason = new Error('not wanted any more')
    await expect(call(AbortSignal.abort(reason))).rejects.toBe(reason)
    expect(await stores().lists.has(FIVE.digest)).toBe(false)
  })

  it('takes and gives a hundred lists at once', async () => {
    const blobs = Array.from({ length: 100 }, (_, index) =>
      cut(randomBlob(200 + index, 200 + index).content, 100),
    )
    await Promise.all(blobs.map((blob) => putChunks(stores(), blob)))
    await Promise.all([...blobs, ...blobs].map(({ digest, list }) => stores().lists.put(digest, list)))
    const read = await Promise.all(blobs.map(({ digest }) => stores().lists.get(digest)))
    for (const [index, list] of read.entries()) {
      expect(list?.reduce((sum, { size }) => sum + size, 0n)).toBe(blobSize(blobs[index]!))
    }
    expect(await stores().lists.has(BLOB_A.digest)).toBe(false)
  })
}

function blobSize({ list }: Cut): bigint {
  return list.reduce((sum, { size }) => sum + size, 0n)
}
