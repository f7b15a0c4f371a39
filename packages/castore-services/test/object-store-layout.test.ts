import { B3Digest, Directory, decodeStatBlobResponse } from '@neve/castore-model'
import { blobStream } from '@neve/castore-services'
import { ObjectStoreBlobService } from '@neve/castore-services/blob/object-store'
import { ObjectStoreDirectoryService } from '@neve/castore-services/directory/object-store'
import { MemoryObjectStore } from '@neve/castore-services/object-store'
import { describe, expect, it } from 'vitest'
import { expandChunk } from '../src/blob/chunk-frames.js'
import { objectKey } from '../src/blob/object-layout.js'
import { BLOB_A, BLOB_B, collectBytes, sameBytes, writeBlob } from '../src/contract/blob-fixtures.js'
import { A, B, C, COMPLICATED, upload, WITH_KEEP } from '../src/contract/directory-fixtures.js'
import { keysOf, referenceBytes } from './object-store-fixture.js'

const hex = (bytes: Uint8Array | undefined): string | undefined => bytes && Buffer.from(bytes).toString('hex')
const unhex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'))

describe('the layout of blobs', () => {
  it('shards keys after the fourth digit', () => {
    const digest = B3Digest.of(new TextEncoder().encode('Hello World'))
    const name = '41f8394111eb713a22165c46c90ab8f0fd9399c92028fd6d288944b23ff5bf76'
    expect(objectKey('blobs', digest)).toBe(`blobs/b3/41f8/${name}`)
    expect(objectKey('chunks', digest)).toBe(`chunks/b3/41f8/${name}`)
  })

  it.each(['put', 'openWrite'] as const)('02#26 writes BLOB_A as the reference does, by %s', async (way) => {
    const { store, blobs } = services()
    if (way === 'put') await blobs.put(BLOB_A.content)
    else await writeBlob(blobs, BLOB_A.content)
    const list = objectKey('blobs', BLOB_A.digest)
    const chunk = objectKey('chunks', BLOB_A.digest)
    expect(await keysOf(store)).toEqual([list, chunk])
    expect(await store.get(list)).toHaveLength(0)
    expect(hex(expandChunk((await store.get(chunk))!, 2))).toBe('0001')
  })

  it('02#26 writes BLOB_B as the reference does', async () => {
    const { store, blobs } = services()
    await writeBlob(blobs, BLOB_B.content, 10_000)
    expect(hex(await store.get(objectKey('blobs', BLOB_B.digest)))).toBe(
      '12260a2079445f0f1420045f8be59af5f7915cfd9182c978ece11a21913641e457fa97941080802012260a20832c7fbdbe9a537273cfe0299195a09ba7d08b6da842ab25fea373d739e9c5ac1080e01f',
    )
    expect(await keysOf(store, 'chunks/')).toEqual([
      'chunks/b3/7944/79445f0f1420045f8be59af5f7915cfd9182c978ece11a21913641e457fa9794',
      'chunks/b3/832c/832c7fbdbe9a537273cfe0299195a09ba7d08b6da842ab25fea373d739e9c5ac',
    ])
    for (const chunk of (await blobs.chunks(BLOB_B.digest)) ?? []) {
      expect(await blobs.has(chunk.digest)).toBe(true)
      expect(await blobs.chunks(chunk.digest)).toEqual([])
      expect((await blobs.get(chunk.digest))?.length).toBe(Number(chunk.size))
    }
  })

  it('02#12 cuts BLOB_B with an average of 1024 into 820 chunks, three of them distinct', async () => {
    const { store, blobs } = services(1024)
    await writeBlob(blobs, BLOB_B.content)
    const list = (await store.get(objectKey('blobs', BLOB_B.digest)))!
    expect(list).toHaveLength(31980)
    expect(B3Digest.of(list).toHex()).toBe('f0f62c95cc199aad523b236045d34161544a28e1be4e9dba39c59de1ca0e15cf')
    expect(decodeStatBlobResponse(list)).toHaveLength(820)
    expect(await keysOf(store, 'chunks/')).toHaveLength(3)
  })

  it.each([
    [
      4194304,
      262144,
      [
        289018, 242244, 401660, 441089, 524288, 238560, 163753, 201967, 524288, 293723, 278928, 296424,
        298362,
      ],
    ],
    [1048576, 262144, [289018, 242244, 401660, 115654]],
    [4194304, 1048576 * 2, [2136859, 2057445]],
    [4099, 1024, [1835, 1532, 732]],
    [4099, 1000, [1835, 1532, 732]],
  ])('cuts R(%d) with an average of %d where the reference cuts it', async (length, average, sizes) => {
    const { store, blobs } = services(average)
    const digest = await writeBlob(blobs, referenceBytes(length), 65_536)
    expect((await blobs.chunks(digest))?.map(({ size }) => Number(size))).toEqual(sizes)
    if (length === 4194304 && average === 262144) {
      expect(digest.toHex()).toBe('45950d78627a19bc459fe5eec078eb820298ca44c027b12686662c9384607c59')
      const list = (await store.get(objectKey('blobs', digest)))!
      expect(list).toHaveLength(520)
      expect(B3Digest.of(list).toHex()).toBe(
        '5e5c07ade49246c0623d3a70a30d6cda41629e206d1ca4b3db85a5bb74c56030',
      )
    }
  })

  it('lists repeated chunks each time and stores them once', async () => {
    const { store, blobs } = services()
    const digest = await writeBlob(blobs, new Uint8Array(2 ** 20), 300_000)
    expect(digest.toHex()).toBe('488de202f73bd976de4e7048f4e1f39a776d86d582b7348ff53bf432b987fca8')
    expect((await blobs.chunks(digest))?.map(({ size }) => size)).toEqual([524288n, 524288n])
    expect(await keysOf(store, 'chunks/')).toEqual([
      'chunks/b3/934d/934d6b7aea5a339a9e858430cca7ac455d3537e70fd2b302931cc93b25e1df9a',
    ])
  })

  it.each(['put', 'openWrite'] as const)('02#25 stores no chunk for the empty blob, by %s', async (way) => {
    const { store, blobs } = services()
    expect((await blobs.open(B3Digest.EMPTY))?.size).toBe(0n)
    expect(await keysOf(store)).toEqual([])
    if (way === 'put') await blobs.put(new Uint8Array(0))
    else await writeBlob(blobs, new Uint8Array(0))
    expect(await keysOf(store)).toEqual([objectKey('blobs', B3Digest.EMPTY)])
    expect(await store.get(objectKey('blobs', B3Digest.EMPTY))).toHaveLength(0)
    expect(await blobs.chunks(B3Digest.EMPTY)).toEqual([])
  })

  it('reads what the reference wrote', async () => {
    const { store, blobs } = services()
    const hello = B3Digest.parse('5ca7815adcb484e9a136c11efe69c1d530176d549b5d18d038eb5280b4b3470c')
    await store.put(objectKey('chunks', BLOB_A.digest), unhex('28b52ffd00581100000001'))
    await store.put(objectKey('blobs', BLOB_A.digest), new Uint8Array(0))
    await store.put(objectKey('chunks', hello), unhex('28b52ffd005861000048656c6c6f20576f726c6421'))
    expect(hex(await blobs.get(BLOB_A.digest))).toBe('0001')
    expect(await blobs.chunks(BLOB_A.digest)).toEqual([])
    // A chunk without a list is a blob as well.
    expect(await blobs.has(hello)).toBe(true)
    expect(await blobs.chunks(hello)).toEqual([])
    expect(new TextDecoder().decode(await blobs.get(hello))).toBe('Hello World!')
  })

  it('reads the five chunks of a list', async () => {
    const { store, blobs } = services()
    const whole = Uint8Array.from({ length: 16 }, (_, index) => index)
    const digest = B3Digest.parse('a6a492965517a830cb75fdb713465aa465f2f098233896fea44c1d98268bf9e3')
    for (const [start, end] of [
      [0, 2],
      [2, 6],
      [6, 7],
      [7, 9],
      [9, 16],
    ])
      await blobs.put(whole.subarray(start, end))
    await store.put(
      objectKey('blobs', digest),
      unhex(
        '12240a207b7015bb92cf0b318037702a6cdd81dee41224f734684c2c122cd6359cb1ee63100212240a20024a7fdb2a86c4eae9600a1cfbfd4487ddc15c0a8fa59abfebd6f92bd0031fe5100412240a201c310b6bdadd69991cd4e5dbef96c2638536c32b534e3ed64785846bfcebd206100112240a20d241b5ab32d2206564b51c8ec05944f6af6d7622c2f607f34c0622223a2b3cd7100212240a20465ded54852258aadefafc109bac1cb1c1275ad9ac15af4fe9996dff9473f50e1007',
      ),
    )
    expect((await blobs.chunks(digest))?.map(({ size }) => size)).toEqual([2n, 4n, 1n, 2n, 7n])
    await using reader = await blobs.open(digest)
    expect(sameBytes(await collectBytes(blobStream(reader!)), whole)).toBe(true)
    expect(hex(await reader!.readAt(5n, 5))).toBe('0506070809')
  })
})

describe('the layout of directories', () => {
  it.each([
    ['A', [A], '00000000'],
    [
      'B',
      [A, B],
      '000000270a250a01611220af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f326200000000',
    ],
    [
      'C',
      [A, C],
      '0000004f0a250a01611220af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f32620a260a0261271220af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f326200000000',
    ],
    [
      'COMPLICATED',
      [WITH_KEEP, COMPLICATED],
      '000000770a2a0a046b65657012208b5b5d642b646bb8ed504b0862c39413e87e57491497de7bd075953f7b83810e180112290a052e6b6565701220af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f32621a1e0a02616112182f6e69782f73746f72652f736f6d657768657265656c73650000002b12290a052e6b6565701220af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262',
    ],
  ] as const)('writes the closure of %s as the reference does', async (_name, closure, payload) => {
    const { store, directories } = services()
    const root = await upload(directories, ...closure)
    const key = objectKey('dirs', root)
    expect(await keysOf(store, 'dirs/')).toEqual([key])
    expect(hex(expandChunk((await store.get(key))!, 1000))).toBe(payload)
    // Beside it, one object tells what is below the root, if anything is.
    expect(await keysOf(store, 'neve/')).toEqual(closure.length === 1 ? [] : ['neve/dirs/log/0000000000'])
  })

  it('reads what the reference wrote, and knows what is below a root that was read', async () => {
    const { store, directories } = services()
    await store.put(
      'dirs/b3/78eb/78eb200ae0cc95d4ea954655fbcf91e285013a261310e161927f2401d2bca803',
      unhex(
        '28b52ffd2057b902000000004f0a250a01611220af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f32620a260a0261271220af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f326200000000',
      ),
    )
    expect(await directories.get(A.digest())).toBeUndefined()
    const found: Directory[] = []
    for await (const directory of directories.getRecursive(C.digest())) found.push(directory)
    expect(found.map((directory) => directory.digest().toHex())).toEqual([
      C.digest().toHex(),
      A.digest().toHex(),
    ])
    expect((await directories.get(A.digest()))?.equals(A)).toBe(true)

    const { store: other, directories: alone } = services()
    await other.put(objectKey('dirs', A.digest()), unhex('28b52ffd200421000000000000'))
    expect((await alone.get(A.digest()))?.equals(Directory.EMPTY)).toBe(true)
  })
})

function services(averageChunkSize?: number) {
  const store = new MemoryObjectStore()
  return {
    store,
    blobs: new ObjectStoreBlobService({ store, averageChunkSize }),
    directories: new ObjectStoreDirectoryService({ store }),
  }
}
