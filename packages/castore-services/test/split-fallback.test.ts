import { status } from '@grpc/grpc-js'
import { B3Digest } from '@neve/castore-model'
import { MemoryBlobService } from '@neve/castore-services/blob/memory'
import { blobServiceContract } from '@neve/castore-services/contract'
import {
  GrpcBlobListStore,
  GrpcBlobService,
  GrpcChunkStore,
  openGrpcChannel,
} from '@neve/castore-services/grpc'
import { castoreServer } from '@neve/castore-services/grpc/server'
import { blobListStoreOf, chunkStoreOf, splitBlobService } from '@neve/castore-services/split'
import { describe, expect, it } from 'vitest'
import { HELLO, randomBlob, readBlob, sameBytes, writeBlob } from '../src/contract/blob-fixtures.js'
import { peerClient } from './split-peer.js'
import { memoryHalves, splitServer } from './split-server.js'

const LARGE = randomBlob(3_000_000, 81)
const WHOLE = { maxSize: 4_000_000 }
const endings = new WeakMap<object, () => Promise<void>>()
const dispose = (service: object) => endings.get(service)!()

blobServiceContract('10#7 the client of blobs at a server of chunks and lists only', {
  create: async () => {
    const server = await splitServer(memoryHalves())
    const service = new GrpcBlobService(await server.channel())
    endings.set(service, () => server.close())
    return service
  },
  dispose,
  chunkSize: 512 * 1024,
})

describe('which service a server has', () => {
  it.each<[string, (blobs: GrpcBlobService) => Promise<unknown>]>([
    ['has', (blobs) => blobs.has(HELLO.digest)],
    ['chunks', (blobs) => blobs.chunks(HELLO.digest)],
    ['open', (blobs) => blobs.open(HELLO.digest)],
    ['open, small', (blobs) => blobs.open(HELLO.digest, { sizeHint: 12n })],
    ['get', (blobs) => blobs.get(HELLO.digest)],
    ['put', (blobs) => blobs.put(HELLO.content)],
    ['openWrite', (blobs) => writeBlob(blobs, LARGE.content, 10_000)],
    ['openWrite of nothing', (blobs) => blobs.openWrite().close()],
  ])('10#7 is found out with the first call: %s', async (_name, first) => {
    await using server = await splitServer(memoryHalves())
    const blobs = new GrpcBlobService(await server.channel())
    await first(blobs)
    expect((await writeBlob(blobs, LARGE.content, 10_000)).equals(LARGE.digest)).toBe(true)
    expect(sameBytes(await readBlob(blobs, LARGE.digest), LARGE.content)).toBe(true)
    expect((await blobs.put(HELLO.content)).equals(HELLO.digest)).toBe(true)
    expect(sameBytes(await blobs.get(HELLO.digest, { sizeHint: 12n }), HELLO.content)).toBe(true)
  })

  it('10#7 the empty blob says nothing about it', async () => {
    await using server = await splitServer(memoryHalves())
    const blobs = new GrpcBlobService(await server.channel())
    expect(await blobs.has(B3Digest.EMPTY)).toBe(true)
    expect(await blobs.get(B3Digest.EMPTY)).toHaveLength(0)
    expect((await writeBlob(blobs, HELLO.content)).equals(HELLO.digest)).toBe(true)
  })

  it('10#7 is found out anew when the server is another one', async () => {
    await using server = await splitServer(memoryHalves())
    const port = server.port
    await using channel = await openGrpcChannel(`grpc+http://127.0.0.1:${port}`)
    const blobs = new GrpcBlobService(channel)
    await blobs.put(HELLO.content)
    await server.close()
    const stored = new MemoryBlobService()
    await using other = castoreServer({ blobs: stored, split: false })
    await other.listen(`127.0.0.1:${port}`)
    await blobs.put(LARGE.content)
    expect(await stored.has(LARGE.digest)).toBe(true)
    expect(sameBytes(await readBlob(blobs, LARGE.digest), LARGE.content)).toBe(true)
    await channel.close()
  })

  it('a server that has neither says so of the usual one', async () => {
    await using server = castoreServer({})
    const { url } = await server.listen('127.0.0.1:0')
    await using channel = await openGrpcChannel(url)
    const blobs = new GrpcBlobService(channel)
    const unsupported = { code: 'unsupported', status: status.UNIMPLEMENTED }
    for (const call of [
      () => blobs.has(HELLO.digest),
      () => blobs.get(HELLO.digest),
      () => blobs.put(HELLO.content),
      () => writeBlob(blobs, LARGE.content, 10_000),
    ]) {
      await expect(call()).rejects.toMatchObject(unsupported)
      await expect(call()).rejects.toThrow('BlobService/')
    }
  })

  it('10#7 chunks and lists at a server that has blobs only', async () => {
    await using server = castoreServer({ blobs: new MemoryBlobService(), split: false })
    const { url } = await server.listen('127.0.0.1:0')
    await using channel = await openGrpcChannel(url)
    await expect(new GrpcChunkStore(channel).has(HELLO.digest)).rejects.toMatchObject({ code: 'unsupported' })
    const far = new GrpcBlobService(channel)
    const blobs = splitBlobService({ chunks: chunkStoreOf(far), lists: blobListStoreOf(far) })
    for (const { content, digest } of [HELLO, LARGE]) {
      expect((await blobs.put(content)).equals(digest)).toBe(true)
      expect(sameBytes(await blobs.get(digest, WHOLE), content)).toBe(true)
    }
    await channel.close()
  })
})

describe('a server of ours', () => {
  it('10#7 has both, over the same blobs, unless told otherwise', async () => {
    const blobs = new MemoryBlobService()
    await using server = castoreServer({ blobs })
    const { url } = await server.listen('127.0.0.1:0')
    await using channel = await openGrpcChannel(url)
    const split = splitBlobService({
      chunks: new GrpcChunkStore(channel),
      lists: new GrpcBlobListStore(channel),
    })
    await split.put(LARGE.content)
    expect(sameBytes(await new GrpcBlobService(channel).get(LARGE.digest, WHOLE), LARGE.content)).toBe(true)
    await new GrpcBlobService(channel).put(HELLO.content)
    expect(sameBytes(await split.get(HELLO.digest, { sizeHint: 12n }), HELLO.content)).toBe(true)
    await channel.close()
  })

  it('10#7 serves stores of chunks and lists to clients of either', async () => {
    const halves = memoryHalves()
    await using server = castoreServer({ blobs: splitBlobService(halves), split: halves, verifyPut: true })
    const { address } = await server.listen('127.0.0.1:0')
    using client = peerClient(Number(address.split(':').at(-1)))
    const { messages } = await client.call('BlobService', 'Put', { data: HELLO.content })
    expect(B3Digest.from(messages[0].digest).equals(HELLO.digest)).toBe(true)
    const digest = HELLO.digest.bytes
    const answer = await client.call('BlobStoreService', 'GetBlob', { digest })
    expect(answer.messages[0].blob_meta.chunks).toEqual([{ digest: Buffer.from(digest), size: '12' }])
    const chunk = await client.call('ChunkStoreService', 'GetChunk', { digest })
    expect(sameBytes(new Uint8Array(chunk.messages[0].data), HELLO.content)).toBe(true)
  })
})
