import { type BlobService, blobStream, type CastoreError } from '@neve/castore-services'
import { MemoryBlobService } from '@neve/castore-services/blob/memory'
import { MirrorBlobService, MirrorWriteError } from '@neve/castore-services/blob/mirror'
import { PriorityBlobService } from '@neve/castore-services/blob/priority'
import { blobServiceContract } from '@neve/castore-services/contract'
import { describe, expect, it } from 'vitest'
import {
  collectBytes,
  HELLO,
  randomBlob,
  readBlob,
  sameBytes,
  writeBlob,
} from '../src/contract/blob-fixtures.js'
import { BlobProbe } from './blob-probe.js'
import { ChunkingBlobService } from './chunking-blob-service.js'

const sides = new WeakMap<MirrorBlobService, ChunkingBlobService[]>()
blobServiceContract('mirror', {
  create: () => {
    const stores = [new ChunkingBlobService(65536), new ChunkingBlobService(65536)]
    const mirror = new MirrorBlobService({ stores })
    sides.set(mirror, stores)
    return mirror
  },
  chunkSize: 131072,
  damage: async (mirror, digest) => {
    for (const side of sides.get(mirror)!) await side.damage(digest)
  },
})

const LARGE = randomBlob(1_000_000, 41)

function fixture() {
  const stores = [new ChunkingBlobService(65536), new ChunkingBlobService(65536)] as const
  const [first, second] = [new BlobProbe(stores[0]), new BlobProbe(stores[1])]
  const trouble: string[] = []
  const mirror = new MirrorBlobService({
    stores: [first, second],
    names: ['home', 'away'],
    onTrouble: ({ store, error }) => trouble.push(`${store} ${(error as CastoreError).code}`),
  })
  return { stores, first, second, mirror, trouble }
}

describe('a mirror', () => {
  it('writes to every store, and reads from the first', async () => {
    const { stores, first, second, mirror } = fixture()
    await mirror.put(HELLO.content)
    await writeBlob(mirror, LARGE.content, 100_000)
    for (const store of stores) {
      expect(sameBytes(await store.get(HELLO.digest), HELLO.content)).toBe(true)
      expect(sameBytes(await readBlob(store, LARGE.digest), LARGE.content)).toBe(true)
    }
    expect([first.calls.put, second.calls.put]).toEqual([1, 1])
    second.reset()
    expect(await mirror.has(LARGE.digest)).toBe(true)
    expect(await mirror.chunks(LARGE.digest)).toEqual(await stores[0].chunks(LARGE.digest))
    expect(sameBytes(await readBlob(mirror, LARGE.digest), LARGE.content)).toBe(true)
    expect(sameBytes(await mirror.get(HELLO.digest), HELLO.content)).toBe(true)
    expect(second.total).toBe(0)
  })

  it.each(['unavailable', 'storage', 'too-large'] as const)(
    'fails to put when one store does not take it, and names it: %s',
    async (code) => {
      const { stores, second, mirror } = fixture()
      second.fail(code)
      const error = await mirror.put(HELLO.content).catch((reason: unknown) => reason)
      expect(error).toBeInstanceOf(MirrorWriteError)
      expect(error).toMatchObject({
        name: 'MirrorWriteError',
        code: code === 'unavailable' ? 'unavailable' : 'storage',
        failures: [{ store: 'away', error: { code } }],
        message: '1 of 2 stores did not take what was written: away: put fails on command',
      })
      // What one store has stays there, and the put can be tried again.
      expect(await stores[0].has(HELLO.digest)).toBe(true)
      second.heal()
      expect((await mirror.put(HELLO.content)).equals(HELLO.digest)).toBe(true)
    },
  )

  it.each(['write', 'close'] as const)('fails to write when one store fails at %s', async (call) => {
    const { stores, first, second, mirror } = fixture()
    first.fail('unavailable', call)
    const error = await writeBlob(mirror, LARGE.content).catch((reason: unknown) => reason)
    expect(error).toMatchObject({
      name: 'MirrorWriteError',
      code: 'unavailable',
      failures: [{ store: 'home' }],
    })
    expect(await stores[0].has(LARGE.digest)).toBe(false)
    expect([first.openWriters, second.openWriters]).toEqual([0, 0])
  })

  it('names every store that failed', async () => {
    const { first, second, mirror } = fixture()
    first.fail('unavailable')
    second.fail('storage')
    const error = (await mirror.put(HELLO.content).catch((reason: unknown) => reason)) as MirrorWriteError
    expect(error.failures.map(({ store }) => store)).toEqual(['home', 'away'])
    expect(error.code).toBe('storage')
  })

  it('does not take the word of a store that stored something else', async () => {
    const lying: BlobService = new MemoryBlobService()
    lying.put = async () => LARGE.digest
    const mirror = new MirrorBlobService({ stores: [new MemoryBlobService(), lying] })
    await expect(mirror.put(HELLO.content)).rejects.toMatchObject({
      code: 'storage',
      failures: [{ store: 'store 2' }],
    })
  })

  it.each(['unavailable', 'data-loss', 'storage'] as const)(
    'reads on at the next store: %s',
    async (code) => {
      const { first, second, mirror, trouble } = fixture()
      for (const { content } of [HELLO, LARGE]) await mirror.put(content)
      first.fail(code)
      expect(await mirror.has(HELLO.digest)).toBe(true)
      expect((await mirror.chunks(LARGE.digest))!.length).toBeGreaterThan(1)
      expect(sameBytes(await mirror.get(HELLO.digest), HELLO.content)).toBe(true)
      expect(sameBytes(await readBlob(mirror, LARGE.digest), LARGE.content)).toBe(true)
      expect(second.calls).toMatchObject({ has: 1, chunks: 1, get: 1, open: 1 })
      expect(trouble).toEqual(Array(4).fill(`home ${code}`))
    },
  )

  it('reads from the only store that has a blob', async () => {
    const { stores, mirror } = fixture()
    await stores[1].put(LARGE.content)
    expect(await mirror.has(LARGE.digest)).toBe(true)
    expect(await mirror.chunks(LARGE.digest)).toEqual(await stores[1].chunks(LARGE.digest))
    expect(sameBytes(await readBlob(mirror, LARGE.digest), LARGE.content)).toBe(true)
    expect(await mirror.has(HELLO.digest)).toBe(false)
    expect(await mirror.open(HELLO.digest)).toBeUndefined()
  })

  it('does not say that a blob is absent when a store could not be asked', async () => {
    const { first, mirror } = fixture()
    first.fail('unavailable')
    const trouble = { code: 'unavailable' }
    await expect(mirror.has(HELLO.digest)).rejects.toMatchObject(trouble)
    await expect(mirror.open(HELLO.digest)).rejects.toMatchObject(trouble)
    await expect(mirror.get(HELLO.digest)).rejects.toMatchObject(trouble)
    await expect(mirror.chunks(HELLO.digest)).rejects.toMatchObject(trouble)
  })

  it('does not ask another store after a mistake of the caller, or a limit', async () => {
    const { second, mirror } = fixture()
    await mirror.put(HELLO.content)
    second.reset()
    await expect(mirror.get(HELLO.digest, { maxSize: 3 })).rejects.toMatchObject({ code: 'too-large' })
    await using reader = (await mirror.open(HELLO.digest))!
    await expect(reader.readAt(-1n, 3)).rejects.toMatchObject({ code: 'invalid-input' })
    expect(second.total).toBe(0)
  })

  it('puts a blob together from stores that are damaged in different places', async () => {
    const { stores, mirror, first, second } = fixture()
    await mirror.put(LARGE.content)
    const chunks = (await stores[0].chunks(LARGE.digest))!
    stores[0].pieces.get(chunks[2]!.digest.key)![5]! ^= 1
    const other = stores[1].pieces.get(chunks[6]!.digest.key)!
    stores[1].pieces.set(chunks[6]!.digest.key, new Uint8Array(other).fill(0))
    for (let round = 0; round < 2; round++) {
      await using reader = (await mirror.open(LARGE.digest))!
      expect(sameBytes(await collectBytes(blobStream(reader)), LARGE.content)).toBe(true)
      for (let at = 0; at < LARGE.content.length; at += 50_000) {
        const bytes = await reader.readAt(BigInt(at), 50_000)
        expect(sameBytes(bytes, LARGE.content.subarray(at, at + 50_000))).toBe(true)
      }
    }
    expect([first.openReaders, second.openReaders]).toEqual([0, 0])
  })

  it('reports the first store of those that are all damaged at one place', async () => {
    const { stores, mirror, first, second } = fixture()
    await mirror.put(LARGE.content)
    const chunk = (await stores[0].chunks(LARGE.digest))![2]!.digest
    for (const store of stores) store.pieces.set(chunk.key, new Uint8Array(10))
    await using reader = (await mirror.open(LARGE.digest))!
    const seen: Uint8Array[] = []
    const read = async () => {
      for await (const piece of blobStream(reader)) seen.push(piece)
    }
    await expect(read()).rejects.toMatchObject({ code: 'data-loss', digest: chunk })
    expect(seen.length).toBeGreaterThanOrEqual(2)
    await expect(reader.readAt(0n, LARGE.content.length)).rejects.toMatchObject({ code: 'data-loss' })
    expect(sameBytes(await reader.readAt(0n, 100), LARGE.content.subarray(0, 100))).toBe(true)
    await reader.close()
    await expect(reader.readAt(0n, 1)).rejects.toMatchObject({ code: 'closed' })
    expect([first.openReaders, second.openReaders]).toEqual([0, 0])
  })

  it('refuses to be made of nothing, or with names for others', () => {
    const invalid = expect.objectContaining({ code: 'invalid-input' })
    expect(() => new MirrorBlobService({ stores: [] })).toThrow(invalid)
    expect(() => new MirrorBlobService({ stores: [new MemoryBlobService()], names: ['a', 'b'] })).toThrow(
      invalid,
    )
  })
})

describe('stores in order of priority', () => {
  it('reads like a mirror, and takes no writes', async () => {
    const stores = [new MemoryBlobService(), new MemoryBlobService()] as const
    await stores[1].put(HELLO.content)
    const priority = new PriorityBlobService({ stores })
    expect(sameBytes(await priority.get(HELLO.digest), HELLO.content)).toBe(true)
    await expect(priority.put(LARGE.content)).rejects.toMatchObject({ code: 'unsupported' })
    await expect(priority.openWrite().close()).rejects.toMatchObject({ code: 'unsupported' })
    expect(await stores[0].has(LARGE.digest)).toBe(false)
  })
})
