import { status } from '@grpc/grpc-js'
import { B3Digest } from '@neve/castore-model'
import type { BlobListStore, ChunkStore } from '@neve/castore-services'
import { CastoreError } from '@neve/castore-services'
import { MemoryBlobService } from '@neve/castore-services/blob/memory'
import { GrpcBlobListStore, GrpcChunkStore, openGrpcChannel } from '@neve/castore-services/grpc'
import {
  blobListStoreOf,
  chunkStoreOf,
  MemoryChunkStore,
  splitBlobService,
} from '@neve/castore-services/split'
import { describe, expect, it } from 'vitest'
import { BLOB_A, HELLO, randomBlob, sameBytes } from '../src/contract/blob-fixtures.js'
import { type PeerClient, peerClient, peerServer } from './split-peer.js'
import { memoryHalves, splitServer } from './split-server.js'

const MiB = 1024 * 1024
const LARGE = randomBlob(5 * MiB, 51)
const bad = [Buffer.alloc(0), Buffer.alloc(31), Buffer.alloc(33)]
const entry = (digest: B3Digest, size: number) => ({ digest: digest.bytes, size: String(size) })

/** Every method of both services, with one digest. */
const METHODS: readonly (readonly [
  string,
  (client: PeerClient, digest: Uint8Array) => ReturnType<PeerClient['call']>,
])[] = [
  ['StatChunk', (client, digest) => client.call('ChunkStoreService', 'StatChunk', { digest })],
  ['GetChunk', (client, digest) => client.call('ChunkStoreService', 'GetChunk', { digest })],
  ['StatBlob', (client, digest) => client.call('BlobStoreService', 'StatBlob', { digest })],
  ['GetBlob', (client, digest) => client.call('BlobStoreService', 'GetBlob', { digest })],
]

describe('our server, a client of somebody else', () => {
  it.each(METHODS)('10#1 %s: a digest of another length, an absent one', async (_name, call) => {
    await using server = await splitServer(memoryHalves())
    using client = peerClient(server.port)
    for (const digest of bad) {
      expect(await call(client, digest)).toMatchObject({
        code: status.INVALID_ARGUMENT,
        details: 'invalid digest length',
        messages: [],
      })
    }
    const absent = await call(client, HELLO.digest.bytes)
    expect(absent).toMatchObject({ code: status.NOT_FOUND, messages: [] })
    expect(absent.details).toContain(HELLO.digest.toString())
  })

  it.each([
    ['storage', status.INTERNAL],
    ['closed', status.UNAVAILABLE],
    ['data-loss', status.DATA_LOSS],
    ['unavailable', status.UNAVAILABLE],
  ] as const)('10#1 a backend that fails with %s', async (code, expected) => {
    const fail = async (): Promise<never> => {
      throw new CastoreError(code, 'the backend is in trouble')
    }
    await using server = await splitServer({
      chunks: { has: fail, get: fail, put: fail },
      lists: { has: fail, get: fail, put: fail },
    })
    using client = peerClient(server.port)
    const failed = { code: expected, details: 'the backend is in trouble' }
    for (const [, call] of METHODS) expect(await call(client, HELLO.digest.bytes)).toMatchObject(failed)
    expect(await client.call('ChunkStoreService', 'PutChunk', { data: HELLO.content })).toMatchObject(failed)
    const request = { digest: HELLO.digest.bytes, blob_meta: { chunks: [entry(HELLO.digest, 12)] } }
    expect(await client.call('BlobStoreService', 'PutBlob', request)).toMatchObject(failed)
  })

  it('10#1 an error that is none of ours is INTERNAL too', async () => {
    const fail = async (): Promise<never> => {
      throw new TypeError('a mistake')
    }
    await using server = await splitServer({
      chunks: { has: fail, get: fail, put: fail },
      lists: { has: fail, get: fail, put: fail },
    })
    using client = peerClient(server.port)
    for (const [, call] of METHODS) {
      expect(await call(client, HELLO.digest.bytes)).toMatchObject({ code: status.INTERNAL })
    }
  })

  it('10#1 PutBlob: what is no list, what cannot be one, and chunks that are not there', async () => {
    const halves = memoryHalves()
    await using server = await splitServer(halves)
    using client = peerClient(server.port)
    const put = (request: unknown) => client.call('BlobStoreService', 'PutBlob', request)
    const digest = HELLO.digest.bytes
    const invalid = { code: status.INVALID_ARGUMENT }
    expect(await put({ digest })).toMatchObject({ ...invalid, details: 'blob_meta is missing' })
    for (const wrong of bad) {
      const blob_meta = { chunks: [] }
      expect(await put({ digest: wrong, blob_meta })).toMatchObject({
        ...invalid,
        details: 'invalid digest length',
      })
      const list = { chunks: [{ digest: wrong, size: '1' }] }
      expect(await put({ digest, blob_meta: list })).toMatchObject({
        ...invalid,
        details: `invalid digest length ${wrong.length} for chunk #0`,
      })
    }
    expect(await put({ digest, blob_meta: { chunks: [] } })).toMatchObject(invalid)
    expect(await put({ digest, blob_meta: { chunks: [entry(BLOB_A.digest, 12)] } })).toMatchObject(invalid)
    const good = { digest, blob_meta: { chunks: [entry(HELLO.digest, 12)] } }
    expect(await put(good)).toMatchObject({ code: status.FAILED_PRECONDITION })
    await halves.chunks.put(HELLO.content)
    expect(await put(good)).toMatchObject({ code: status.OK, messages: [{}] })
    expect(await halves.lists.get(HELLO.digest)).toEqual([{ digest: HELLO.digest, size: 12n }])
  })

  it('10#1 PutBlob checks the contents at once when told to', async () => {
    const pieces = [HELLO.content.subarray(0, 5), HELLO.content.subarray(5)]
    const chunks = pieces.map((piece) => entry(B3Digest.of(piece), piece.length))
    for (const verifyPut of [false, true]) {
      const halves = memoryHalves()
      await using server = await splitServer({ ...halves, verifyPut })
      using client = peerClient(server.port)
      for (const piece of pieces) await halves.chunks.put(piece)
      const put = (list: unknown[]) =>
        client.call('BlobStoreService', 'PutBlob', {
          digest: HELLO.digest.bytes,
          blob_meta: { chunks: list },
        })
      const reversed = await put([...chunks].reverse())
      expect(reversed.code).toBe(verifyPut ? status.INVALID_ARGUMENT : status.OK)
      expect((await put(chunks)).code).toBe(status.OK)
      // What was taken unchecked is found out when it is read.
      const get = splitBlobService(halves).get(HELLO.digest)
      if (verifyPut) expect(sameBytes(await get, HELLO.content)).toBe(true)
      else await expect(get).rejects.toMatchObject({ code: 'data-loss' })
    }
  })

  it('10#2 a chunk of 5 MiB goes and comes in three messages', async () => {
    await using server = await splitServer(memoryHalves())
    using client = peerClient(server.port)
    const messages = [0, 2, 4].map((at) => ({
      data: Buffer.from(LARGE.content.subarray(at * MiB, Math.min((at + 2) * MiB, LARGE.content.length))),
    }))
    const stored = await client.call('ChunkStoreService', 'PutChunk', ...messages)
    expect(stored).toMatchObject({ code: status.OK })
    expect(B3Digest.from(stored.messages[0].digest).equals(LARGE.digest)).toBe(true)
    const read = await client.call('ChunkStoreService', 'GetChunk', { digest: LARGE.digest.bytes })
    expect(read.code).toBe(status.OK)
    expect(read.messages.map(({ data }) => data.length)).toEqual([2 * MiB, 2 * MiB, MiB])
    const whole = Buffer.concat(read.messages.map(({ data }) => data))
    expect(sameBytes(new Uint8Array(whole), LARGE.content)).toBe(true)
  })

  it('10#2 an empty chunk is no message, put or got; messages without data change nothing', async () => {
    await using server = await splitServer(memoryHalves())
    using client = peerClient(server.port)
    for (const requests of [[], [{}], [{ data: Buffer.alloc(0) }, {}]]) {
      const stored = await client.call('ChunkStoreService', 'PutChunk', ...requests)
      expect(B3Digest.from(stored.messages[0].digest).equals(B3Digest.EMPTY)).toBe(true)
    }
    const split = [...HELLO.content].flatMap((byte) => [{}, { data: Buffer.of(byte) }])
    const hello = await client.call('ChunkStoreService', 'PutChunk', ...split)
    expect(B3Digest.from(hello.messages[0].digest).equals(HELLO.digest)).toBe(true)
    const digest = B3Digest.EMPTY.bytes
    expect(await client.call('ChunkStoreService', 'GetChunk', { digest })).toEqual({
      code: status.OK,
      details: '',
      messages: [],
    })
    expect(await client.call('BlobStoreService', 'GetBlob', { digest })).toMatchObject({
      code: status.OK,
      messages: [{ blob_meta: { chunks: [] } }],
    })
  })

  it('a chunk above the limit is refused, put or got', async () => {
    const halves = memoryHalves()
    await using server = await splitServer({ ...halves, maxChunkSize: 1000 })
    using client = peerClient(server.port)
    const data = Buffer.alloc(600, 1)
    const refused = await client.call('ChunkStoreService', 'PutChunk', { data }, { data })
    expect(refused).toMatchObject({ code: status.OUT_OF_RANGE, messages: [] })
    const digest = await halves.chunks.put(new Uint8Array(1001))
    expect(await client.call('ChunkStoreService', 'GetChunk', { digest: digest.bytes })).toMatchObject({
      code: status.OUT_OF_RANGE,
    })
    const channel = await server.channel()
    await expect(new GrpcChunkStore(channel).get(digest)).rejects.toMatchObject({ code: 'too-large' })
  })

  it('10#3 10#7 a client of the split services reads and writes any blob service of ours', async () => {
    const blobs = new MemoryBlobService()
    await using server = await splitServer({ chunks: chunkStoreOf(blobs), lists: blobListStoreOf(blobs) })
    using client = peerClient(server.port)
    const { messages } = await client.call('ChunkStoreService', 'PutChunk', { data: HELLO.content })
    const digest = Buffer.from(messages[0].digest)
    const chunks = [{ digest, size: '12' }]
    expect((await client.call('BlobStoreService', 'PutBlob', { digest, blob_meta: { chunks } })).code).toBe(0)
    expect(sameBytes(await blobs.get(HELLO.digest), HELLO.content)).toBe(true)
    await blobs.put(LARGE.content)
    const answer = await client.call('BlobStoreService', 'GetBlob', { digest: LARGE.digest.bytes })
    expect(answer.messages[0].blob_meta.chunks).toEqual([
      { digest: Buffer.from(LARGE.digest.bytes), size: String(LARGE.content.length) },
    ])
    const read = await client.call('ChunkStoreService', 'GetChunk', { digest: LARGE.digest.bytes })
    expect(read.messages).toHaveLength(3)
  })
})

/** A server of somebody else's that keeps chunks and lists as they come. */
function honestPeer() {
  const chunks = new Map<string, Buffer>()
  const lists = new Map<string, unknown>()
  const sizes: number[] = []
  // biome-ignore lint/suspicious/noExplicitAny: grpc-js leaves it to the handler
  type Call = any
  const missing = { code: status.NOT_FOUND, details: 'no' }
  const key = (digest: Buffer) => Buffer.from(digest).toString('hex')
  return {
    chunks,
    lists,
    sizes,
    services: {
      ChunkStoreService: {
        StatChunk: ({ request }: Call, done: Call) =>
          chunks.has(key(request.digest)) ? done(null, {}) : done(missing),
        GetChunk: (call: Call) => {
          const chunk = chunks.get(key(call.request.digest))
          if (chunk === undefined) return call.emit('error', missing)
          for (let at = 0; at < chunk.length; at += 1_000_000)
            call.write({ data: chunk.subarray(at, at + 1_000_000) })
          call.end()
        },
        PutChunk: (call: Call, done: Call) => {
          const pieces: Buffer[] = []
          call.on('data', ({ data }: { data: Buffer }) => {
            sizes.push(data.length)
            pieces.push(data)
          })
          call.on('end', () => {
            const content = Buffer.concat(pieces)
            const digest = Buffer.from(B3Digest.of(content).bytes)
            chunks.set(key(digest), content)
            done(null, { digest })
          })
        },
      },
      BlobStoreService: {
        StatBlob: ({ request }: Call, done: Call) =>
          lists.has(key(request.digest)) ? done(null, {}) : done(missing),
        GetBlob: ({ request }: Call, done: Call) => {
          const blob_meta = lists.get(key(request.digest))
          if (blob_meta === undefined) done(missing)
          else done(null, { blob_meta })
        },
        PutBlob: ({ request }: Call, done: Call) => {
          lists.set(key(request.digest), request.blob_meta)
          done(null, {})
        },
      },
    },
  }
}

async function storesAt(
  port: number,
): Promise<{ chunks: ChunkStore; lists: BlobListStore } & AsyncDisposable> {
  const channel = await openGrpcChannel(`grpc+http://127.0.0.1:${port}`)
  return {
    chunks: new GrpcChunkStore(channel),
    lists: new GrpcBlobListStore(channel),
    [Symbol.asyncDispose]: () => channel.close(),
  }
}

describe('our client, a server of somebody else', () => {
  it('10#2 10#3 what we put is there as the specification has it, and comes back', async () => {
    const { chunks, lists, sizes, services } = honestPeer()
    await using peer = await peerServer(services)
    await using stores = await storesAt(peer.port)
    const blobs = splitBlobService(stores)
    await blobs.put(HELLO.content)
    await blobs.put(LARGE.content)
    expect(lists.get(HELLO.digest.toHex())).toEqual({
      chunks: [{ digest: Buffer.from(HELLO.digest.bytes), size: '12' }],
    })
    expect(chunks.size).toBeGreaterThan(10)
    expect(sameBytes(await blobs.get(LARGE.digest, { maxSize: 8 * MiB }), LARGE.content)).toBe(true)
    expect(sameBytes(await blobs.get(HELLO.digest), HELLO.content)).toBe(true)
    sizes.length = 0
    await stores.chunks.put(LARGE.content)
    expect(sizes).toEqual([2 * MiB, 2 * MiB, MiB])
    await stores.chunks.put(new Uint8Array(0))
    expect(sizes).toHaveLength(3)
    expect(sameBytes(await stores.chunks.get(LARGE.digest), LARGE.content)).toBe(true)
  })

  it('10#2 a flipped byte is refused', async () => {
    const { chunks, services } = honestPeer()
    await using peer = await peerServer(services)
    await using stores = await storesAt(peer.port)
    await stores.chunks.put(LARGE.content)
    for (const at of [0, 2_500_000, LARGE.content.length - 1]) {
      const stored = chunks.get(LARGE.digest.toHex())!
      stored[at]! ^= 4
      await expect(stores.chunks.get(LARGE.digest)).rejects.toMatchObject({ code: 'data-loss' })
      stored[at]! ^= 4
    }
    expect(sameBytes(await stores.chunks.get(LARGE.digest), LARGE.content)).toBe(true)
  })

  it.each<[string, unknown]>([
    ['no answer in it', {}],
    ['an empty list', { blob_meta: { chunks: [] } }],
    ['a digest of 31 bytes', { blob_meta: { chunks: [{ digest: Buffer.alloc(31), size: '1' }] } }],
    ['another blob', { blob_meta: { chunks: [entry(BLOB_A.digest, 2)] } }],
    ['the blob among others', { blob_meta: { chunks: [entry(HELLO.digest, 6), entry(BLOB_A.digest, 6)] } }],
    ['a giant chunk', { blob_meta: { chunks: [entry(BLOB_A.digest, 2 ** 31), entry(BLOB_A.digest, 1)] } }],
  ])('a list that cannot be right is data loss: %s', async (_name, answer) => {
    // biome-ignore lint/suspicious/noExplicitAny: grpc-js leaves it to the handler
    const GetBlob = (_call: unknown, done: any) => done(null, answer)
    const { ChunkStoreService, BlobStoreService } = honestPeer().services
    await using peer = await peerServer({
      ChunkStoreService,
      BlobStoreService: { ...BlobStoreService, GetBlob },
    })
    await using stores = await storesAt(peer.port)
    await expect(stores.lists.get(HELLO.digest)).rejects.toMatchObject({ code: 'data-loss' })
    await expect(splitBlobService(stores).open(HELLO.digest)).rejects.toMatchObject({ code: 'data-loss' })
  })

  it('entries of size 0 are dropped', async () => {
    const { lists, services } = honestPeer()
    await using peer = await peerServer(services)
    await using stores = await storesAt(peer.port)
    const nothing = entry(B3Digest.EMPTY, 0)
    lists.set(HELLO.digest.toHex(), { chunks: [nothing, entry(HELLO.digest, 12), nothing] })
    expect(await stores.lists.get(HELLO.digest)).toEqual([{ digest: HELLO.digest, size: 12n }])
  })

  it('another digest in answer to PutChunk is an error, and so is none', async () => {
    for (const digest of [Buffer.from(BLOB_A.digest.bytes), Buffer.alloc(0), Buffer.alloc(31)]) {
      const { ChunkStoreService, BlobStoreService } = honestPeer().services
      // biome-ignore lint/suspicious/noExplicitAny: grpc-js leaves it to the handler
      const PutChunk = (call: any, done: any) => call.resume().on('end', () => done(null, { digest }))
      await using peer = await peerServer({
        ChunkStoreService: { ...ChunkStoreService, PutChunk },
        BlobStoreService,
      })
      await using stores = await storesAt(peer.port)
      await expect(stores.chunks.put(HELLO.content)).rejects.toMatchObject({ code: 'storage' })
      await expect(splitBlobService(stores).put(HELLO.content)).rejects.toMatchObject({ code: 'storage' })
      expect(await stores.lists.has(HELLO.digest)).toBe(false)
    }
  })

  it('10#5 one call for a small blob whose size is known, counted on the wire', async () => {
    const { ChunkStoreService, BlobStoreService } = honestPeer().services
    const calls: string[] = []
    const counted = (handlers: Record<string, (...args: never[]) => unknown>) =>
      Object.fromEntries(
        Object.entries(handlers).map(([name, handler]) => [
          name,
          (...args: never[]) => {
            calls.push(name)
            return handler(...args)
          },
        ]),
      )
    await using peer = await peerServer({
      ChunkStoreService: counted(ChunkStoreService) as never,
      BlobStoreService: counted(BlobStoreService) as never,
    })
    await using stores = await storesAt(peer.port)
    const blobs = splitBlobService(stores)
    await blobs.put(HELLO.content)
    await blobs.put(LARGE.content)
    calls.length = 0
    await blobs.get(HELLO.digest, { sizeHint: 12n })
    expect(calls.splice(0)).toEqual(['GetChunk'])
    await blobs.open(LARGE.digest, { sizeHint: 12n })
    expect(calls.splice(0)).toEqual(['GetChunk', 'GetBlob'])
    await blobs.get(HELLO.digest)
    expect(calls.splice(0)).toEqual(['GetBlob', 'GetChunk'])
  })
})

describe('chunks in a store that refuses them', () => {
  it('is what the client says it is', async () => {
    const refuse = async (): Promise<never> => {
      throw new CastoreError('storage', 'disk full')
    }
    const chunks = new MemoryChunkStore()
    await using server = await splitServer({
      chunks: { has: (d) => chunks.has(d), get: (d) => chunks.get(d), put: refuse },
      lists: memoryHalves().lists,
    })
    const store = new GrpcChunkStore(await server.channel())
    await expect(store.put(HELLO.content)).rejects.toMatchObject({ code: 'storage' })
  })
})
