import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { B3Digest } from '@neve/castore-model'
import { blobStream, DataLossError } from '@neve/castore-services'
import { EmbeddedBlobService } from '@neve/castore-services/blob/embedded'
import { blobServiceContract } from '@neve/castore-services/contract'
import { EmbeddedStore } from '@neve/embedded-store'
import { chunks as cut } from '@neve/fastcdc'
import { describe, expect, it } from 'vitest'
import { randomBlob, sameBytes } from '../src/contract/blob-fixtures.js'
import { damageContent, embeddedServices, temporaryFolder } from './embedded-fixture.js'

blobServiceContract('embedded', {
  create: async () => new EmbeddedBlobService(await EmbeddedStore.open(join(temporaryFolder(), 'store'))),
  dispose: (service) => service.engine.close(),
  chunkSize: 512 * 1024,
  capabilities: { defaultChunks: true },
  footprint: ({ engine }) => [...engine.contentKeys()].map((key) => ({ ...engine.locate(key)! })),
  damage: async (service, digest) => {
    const pieces = (await service.chunks(digest)) ?? []
    const piece = pieces[pieces.length >> 1]?.digest ?? digest
    damageContent(service.engine, piece.bytes, 7)
  },
})

async function* asyncOf(content: Uint8Array): AsyncIterable<Uint8Array> {
  yield content
}

describe('blobs in an embedded store', () => {
  it('02#24 writing what is there already writes nothing', async () => {
    await using engine = await EmbeddedStore.open(temporaryFolder())
    const blobs = new EmbeddedBlobService(engine)
    const small = randomBlob(1000, 1)
    const large = randomBlob(3_000_000, 2)
    for (const { content } of [small, large]) await blobs.put(content)
    const places = () => [...engine.contentKeys()].map((key) => ({ ...engine.locate(key)! }))
    const before = places()
    for (const { content, digest } of [small, large]) {
      expect((await blobs.put(content)).equals(digest)).toBe(true)
      await using writer = blobs.openWrite()
      await writer.write(content)
      expect((await writer.close()).equals(digest)).toBe(true)
    }
    expect(places()).toEqual(before)
  })

  it('cuts where FastCDC cuts, and every chunk is a blob of its own', async () => {
    await using engine = await EmbeddedStore.open(temporaryFolder())
    const blobs = new EmbeddedBlobService(engine)
    const { content, digest } = randomBlob(3_000_000, 3)
    await blobs.put(content)
    const expected: B3Digest[] = []
    for await (const chunk of cut(asyncOf(content))) expected.push(B3Digest.of(chunk))
    const listed = (await blobs.chunks(digest))!
    expect(listed.map((chunk) => chunk.digest.toHex())).toEqual(expected.map((chunk) => chunk.toHex()))
    let at = 0
    for (const chunk of listed) {
      const bytes = await blobs.get(chunk.digest)
      expect(sameBytes(bytes, content.subarray(at, at + Number(chunk.size)))).toBe(true)
      expect(await blobs.chunks(chunk.digest)).toEqual([])
      at += Number(chunk.size)
    }
    expect(at).toBe(content.length)
  })

  it('is there after the store was closed and opened', async () => {
    const { engine, blobs } = await embeddedServices()
    const { content, digest } = randomBlob(700_000, 4)
    await blobs.put(content)
    await engine.close()
    const again = await embeddedServices(engine.path)
    expect(sameBytes(await again.blobs.get(digest), content)).toBe(true)
    await again.engine.close()
  })

  it.each([
    ['first', 0],
    ['middle', 5],
    ['last', -1],
  ])(
    '02#27 a damaged %s chunk: what lies before it is read, nothing wrong after it',
    async (_name, which) => {
      const { engine, blobs } = await embeddedServices()
      const { content, digest } = randomBlob(3_000_000, 5)
      await blobs.put(content)
      const pieces = (await blobs.chunks(digest))!
      const index = which < 0 ? pieces.length - 1 : which
      const start = pieces.slice(0, index).reduce((sum, { size }) => sum + size, 0n)
      damageContent(engine, pieces[index]!.digest.bytes)
      await using reader = (await blobs.open(digest))!
      const seen: Uint8Array[] = []
      await expect(async () => {
        for await (const piece of blobStream(reader)) seen.push(new Uint8Array(piece))
      }).rejects.toBeInstanceOf(DataLossError)
      const bytes = new Uint8Array(Buffer.concat(seen))
      expect(sameBytes(bytes, content.subarray(0, Number(start)))).toBe(true)
      expect(await reader.readAt(start, 0)).toHaveLength(0)
      await expect(reader.readAt(start, 1)).rejects.toMatchObject({
        code: 'data-loss',
        digest: pieces[index]!.digest,
      })
      await engine.close()
    },
  )

  it('02#11 a chunk that its list names but nobody has is data loss', async () => {
    const { engine, blobs } = await embeddedServices()
    const list = Buffer.alloc(72)
    for (const at of [0, 36]) {
      list.fill(at + 1, at, at + 32)
      list.writeUInt32LE(1000, at + 32)
    }
    const digest = B3Digest.from(Buffer.alloc(32, 9))
    const session = engine.write()
    session.put('blobs', digest.bytes, list)
    await session.commit()
    await using reader = (await blobs.open(digest))!
    expect(reader.size).toBe(2000n)
    await expect(reader.readAt(0n, 10)).rejects.toMatchObject({ name: 'DataLossError', code: 'data-loss' })
    await expect(blobs.get(digest)).rejects.toBeInstanceOf(DataLossError)
    await engine.close()
  })

  it.each([0, 35, 37, 71])('a chunk list of %s bytes is data loss', async (length) => {
    const { engine, blobs } = await embeddedServices()
    const digest = B3Digest.from(Buffer.alloc(32, 9))
    const session = engine.write()
    session.put('blobs', digest.bytes, new Uint8Array(length))
    await session.commit()
    await expect(blobs.chunks(digest)).rejects.toBeInstanceOf(DataLossError)
    await expect(blobs.open(digest)).rejects.toBeInstanceOf(DataLossError)
    await engine.close()
  })

  it.each([
    ['in pieces of any length', 8_000_000, (at: number) => 1 + ((at * 7919) % 700_000)],
    ['in one piece', 9_000_001, () => 9_000_001],
    [
      'byte by byte where threads take over',
      4 * 1024 * 1024 + 3,
      (at: number) => (at < 4_194_000 ? 4_194_000 : 1),
    ],
  ])('a large one is cut and stored the same by threads, written %s', async (_how, length, next) => {
    const { engine, blobs } = await embeddedServices()
    const { content } = randomBlob(length, 9)
    // Some of it is there before, and some comes twice.
    content.copyWithin(5_000_000, 1_000_000, 3_000_000)
    const expected = B3Digest.of(content)
    await blobs.put(content.subarray(0, 100_000))
    for (let round = 0; round < 2; round++) {
      await using writer = blobs.openWrite()
      for (let at = 0; at < length; ) {
        const piece = content.slice(at, at + next(at))
        await writer.write(piece)
        piece.fill(0)
        at += piece.length
      }
      expect((await writer.close()).equals(expected)).toBe(true)
    }
    const cuts: string[] = []
    for await (const chunk of cut(asyncOf(content))) cuts.push(B3Digest.of(chunk).toHex())
    const listed = (await blobs.chunks(expected))!
    expect(listed.map((chunk) => chunk.digest.toHex())).toEqual(cuts)
    expect(engine.count('content')).toBe(new Set(cuts).size + 1)
    await using reader = (await blobs.open(expected))!
    const pieces: Uint8Array[] = []
    for await (const piece of blobStream(reader)) pieces.push(piece)
    expect(sameBytes(Buffer.concat(pieces), content)).toBe(true)
    await engine.close()
  })

  it('large ones at once, more than threads take, are all stored; one that is given up is not', async () => {
    const { engine, blobs } = await embeddedServices()
    const write = async (seed: number): Promise<boolean> => {
      const { content, digest } = randomBlob(6_000_000, seed)
      await using writer = blobs.openWrite()
      for (let at = 0; at < content.length; at += 500_000)
        await writer.write(content.subarray(at, at + 500_000))
      if (seed % 3 === 0) await writer.abort()
      else expect((await writer.close()).equals(digest)).toBe(true)
      return await blobs.has(digest)
    }
    const seeds = Array.from({ length: 9 }, (_, index) => index)
    expect(await Promise.all(seeds.map(write))).toEqual(seeds.map((seed) => seed % 3 !== 0))
    // The threads are free again.
    expect(await write(10)).toBe(true)
    await engine.close()
  })

  it('a large one fails as the store does when that is closed meanwhile', async () => {
    const { engine, blobs } = await embeddedServices()
    const { content } = randomBlob(12_000_000, 11)
    await using writer = blobs.openWrite()
    await writer.write(content.subarray(0, 6_000_000))
    await engine.close()
    const rest = async () => {
      for (let at = 6_000_000; at < content.length; at += 500_000)
        await writer.write(content.subarray(at, at + 500_000))
      await writer.close()
    }
    await expect(rest()).rejects.toMatchObject({ name: 'CastoreError', code: 'closed' })
  })

  it('a lost segment is data loss, and storing the content again heals it', async () => {
    const { engine, blobs } = await embeddedServices()
    const { content, digest } = randomBlob(50_000, 6)
    await blobs.put(content)
    await engine.close()
    rmSync(join(engine.path, 'segments', '0000000001.seg'), { force: true })
    const again = await embeddedServices(engine.path)
    await expect(again.blobs.get(digest)).rejects.toBeInstanceOf(DataLossError)
    await again.blobs.put(content)
    expect(sameBytes(await again.blobs.get(digest), content)).toBe(true)
    await again.engine.close()
  })

  it('after the store was closed every call says so', async () => {
    const { engine, blobs } = await embeddedServices()
    const { content, digest } = randomBlob(3_000_000, 7)
    const small = randomBlob(10, 8)
    await blobs.put(content)
    await using reader = (await blobs.open(digest))!
    await engine.close()
    const closed = { name: 'CastoreError', code: 'closed' }
    await expect(blobs.has(digest)).rejects.toMatchObject(closed)
    await expect(blobs.open(digest)).rejects.toMatchObject(closed)
    await expect(blobs.get(digest)).rejects.toMatchObject(closed)
    await expect(blobs.chunks(digest)).rejects.toMatchObject(closed)
    await expect(blobs.put(content)).rejects.toMatchObject(closed)
    await expect(blobs.put(small.content)).rejects.toMatchObject(closed)
    await expect(reader.readAt(0n, 1)).rejects.toMatchObject(closed)
  })
})
