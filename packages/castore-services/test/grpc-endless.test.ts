import { B3Digest } from '@neve/castore-model'
import { CastoreError } from '@neve/castore-services'
import {
  GrpcBlobListStore,
  GrpcBlobService,
  GrpcChunkStore,
  GrpcDirectoryService,
  openGrpcChannel,
} from '@neve/castore-services/grpc'
import { describe, expect, it } from 'vitest'
import { BLOB_A, HELLO, randomBlob, readBlob, sameBytes, writeBlob } from '../src/contract/blob-fixtures.js'
import { A, B, closureOf, upload } from '../src/contract/directory-fixtures.js'
import { expectNoLeaks } from './faults/leaks.js'
import type { Services } from './faults/operations.js'
import { type Peer, peerServer } from './split-peer.js'

// biome-ignore lint/suspicious/noExplicitAny: grpc-js leaves the types of messages to the handler
type Call = any
type Handler = (call: Call, answer: Call) => void

const MiB = 1024 * 1024
const LARGE = randomBlob(3 * MiB, 91)

/** Sends the same message for as long as the client listens, no faster than it does. */
function endless(message: unknown): Handler {
  return (call) => {
    call.on('error', () => {})
    const more = () => {
      while (!call.cancelled && !call.destroyed) {
        if (!call.write(message)) {
          call.once('drain', more)
          return
        }
      }
    }
    more()
  }
}

const silence: Handler = (call) => call.resume?.()
/** An end without any message: of a call that has to have one, it is an error. */
const nothing: Handler = (call) => call.end?.()
const bytes = (length: number) => ({ data: Buffer.alloc(length, 1) })

/** A server all of whose methods do the same; those that answer once do what `unary` says. */
function peerOf(streaming: Handler, unary: Handler): Promise<Peer> {
  return peerServer({
    BlobService: { Stat: unary, Read: streaming, Put: unary },
    DirectoryService: { Get: streaming, Put: unary },
    ChunkStoreService: { StatChunk: unary, GetChunk: streaming, PutChunk: unary },
    BlobStoreService: { StatBlob: unary, GetBlob: unary, PutBlob: unary },
  })
}

async function clientOf(peer: Peer, timeout?: number): Promise<Services & AsyncDisposable> {
  const channel = await openGrpcChannel(`grpc+http://127.0.0.1:${peer.port}`, { timeout })
  return {
    blobs: new GrpcBlobService(channel, { maxWholeSize: 20 * MiB }),
    directories: new GrpcDirectoryService(channel),
    chunks: new GrpcChunkStore(channel),
    lists: new GrpcBlobListStore(channel),
    [Symbol.asyncDispose]: () => channel.close(),
  }
}

const list = [
  { digest: BLOB_A.digest, size: 2n },
  { digest: HELLO.digest, size: 12n },
]

/** Every call of every client. */
const CALLS: readonly [string, (services: Services) => Promise<unknown>][] = [
  ['BlobService.has', ({ blobs }) => blobs.has(HELLO.digest)],
  ['BlobService.chunks', ({ blobs }) => blobs.chunks(HELLO.digest)],
  ['BlobService.get', ({ blobs }) => blobs.get(HELLO.digest)],
  ['BlobService.open', ({ blobs }) => readBlob(blobs, HELLO.digest)],
  ['BlobService.put', ({ blobs }) => blobs.put(LARGE.content)],
  ['BlobService.openWrite', ({ blobs }) => writeBlob(blobs, LARGE.content, 10_000)],
  ['DirectoryService.get', ({ directories }) => directories.get(B.digest())],
  ['DirectoryService.getRecursive', ({ directories }) => closureOf(directories, B.digest())],
  ['DirectoryService.put', ({ directories }) => directories.put(A)],
  ['DirectoryService.putMultipleStart', ({ directories }) => upload(directories, A, B)],
  ['ChunkStore.has', ({ chunks }) => chunks.has(HELLO.digest)],
  ['ChunkStore.get', ({ chunks }) => chunks.get(HELLO.digest)],
  ['ChunkStore.put', ({ chunks }) => chunks.put(LARGE.content)],
  ['BlobListStore.has', ({ lists }) => lists.has(LARGE.digest)],
  ['BlobListStore.get', ({ lists }) => lists.get(LARGE.digest)],
  ['BlobListStore.put', ({ lists }) => lists.put(LARGE.digest, list)],
]

describe('servers that do not behave', () => {
  expectNoLeaks(async () => {
    await using peer = await peerOf(nothing, silence)
    await using client = await clientOf(peer, 100)
    await client.blobs.has(HELLO.digest).catch(() => {})
  })

  it.each(CALLS)('one that takes a call and never answers: %s', async (_name, call) => {
    await using peer = await peerOf(silence, silence)
    await using client = await clientOf(peer, 200)
    await expect(call(client)).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('no sign of life for 200 ms'),
    })
  })

  it.each(CALLS)('one that never answers, and a caller who does not wait: %s', async (_name, call) => {
    await using peer = await peerOf(silence, silence)
    const client = await clientOf(peer, 0)
    const pending = call(client)
    const outcome = expect(pending).rejects.toBeInstanceOf(CastoreError)
    await client[Symbol.asyncDispose]()
    await outcome
  })

  it.each(CALLS)('one that crashes with every answer: %s', async (_name, call) => {
    const crash: Handler = (target, answer) => {
      if (answer) answer(new Error('a bug'))
      else target.destroy(new Error('a bug'))
    }
    await using peer = await peerOf(crash, crash)
    await using client = await clientOf(peer, 2000)
    await expect(call(client)).rejects.toBeInstanceOf(CastoreError)
  })

  it('a chunk without end', async () => {
    await using peer = await peerOf(endless(bytes(MiB)), silence)
    await using client = await clientOf(peer)
    const large = { code: 'too-large', limit: 5 * MiB }
    await expect(client.chunks.get(HELLO.digest, { maxSize: 5 * MiB })).rejects.toMatchObject(large)
    await expect(client.chunks.get(HELLO.digest)).rejects.toMatchObject({ code: 'too-large' })
  })

  it('a blob without end', async () => {
    const present: Handler = (_call, answer) => answer(null, {})
    await using peer = await peerOf(endless(bytes(MiB)), present)
    await using client = await clientOf(peer)
    await expect(client.blobs.get(HELLO.digest)).rejects.toMatchObject({ code: 'too-large' })
    await expect(client.blobs.open(HELLO.digest)).rejects.toMatchObject({
      code: 'too-large',
      limit: 20 * MiB,
    })
  })

  it('messages without data, without end', async () => {
    const present: Handler = (_call, answer) => answer(null, {})
    await using peer = await peerOf(endless({}), present)
    await using client = await clientOf(peer)
    const refused = { code: 'storage', message: expect.stringContaining('messages without data') }
    await expect(client.chunks.get(HELLO.digest)).rejects.toMatchObject(refused)
    await expect(client.blobs.get(HELLO.digest)).rejects.toMatchObject(refused)
    await expect(client.blobs.open(HELLO.digest)).rejects.toMatchObject(refused)
  })

  it('the same directory, without end', async () => {
    await using peer = await peerOf(endless({}), silence)
    await using client = await clientOf(peer)
    expect((await client.directories.get(A.digest()))?.equals(A)).toBe(true)
    await expect(closureOf(client.directories, A.digest())).rejects.toMatchObject({ code: 'data-loss' })
  })

  it('one message more than 16 MiB', async () => {
    const huge: Handler = (call) => {
      call.on('error', () => {})
      call.write({
        ...bytes(17 * MiB),
        symlinks: [{ name: Buffer.from('a'), target: Buffer.alloc(17 * MiB, 65) }],
      })
      call.end()
    }
    const hugeList: Handler = (_call, answer) =>
      answer(null, {
        chunks: Array.from({ length: 450_000 }, () => ({ digest: HELLO.digest.bytes, size: '12' })),
        blob_meta: {
          chunks: Array.from({ length: 450_000 }, () => ({ digest: HELLO.digest.bytes, size: '12' })),
        },
      })
    await using peer = await peerOf(huge, hugeList)
    await using client = await clientOf(peer)
    const large = { code: 'too-large' }
    await expect(client.chunks.get(HELLO.digest)).rejects.toMatchObject(large)
    await expect(client.blobs.get(HELLO.digest)).rejects.toMatchObject(large)
    await expect(client.directories.get(HELLO.digest)).rejects.toMatchObject(large)
    await expect(client.blobs.chunks(HELLO.digest)).rejects.toMatchObject(large)
    await expect(client.lists.get(LARGE.digest)).rejects.toMatchObject(large)
  })

  it('more after the end of what was to come, and content of another digest', async () => {
    const content = Buffer.from(HELLO.content)
    const twice: Handler = (call) => {
      call.write({ data: content })
      call.write({ data: content })
      call.end()
    }
    const present: Handler = (_call, answer) => answer(null, {})
    await using peer = await peerOf(twice, present)
    await using client = await clientOf(peer)
    await expect(client.chunks.get(HELLO.digest)).rejects.toMatchObject({ code: 'data-loss' })
    await expect(client.chunks.get(HELLO.digest, { maxSize: 12 })).rejects.toMatchObject({
      code: 'too-large',
    })
    await expect(client.blobs.get(HELLO.digest)).rejects.toMatchObject({ code: 'data-loss' })
    await expect(client.blobs.open(HELLO.digest)).rejects.toMatchObject({ code: 'data-loss' })
    // What it stands for is there all the same.
    const both = new Uint8Array([...HELLO.content, ...HELLO.content])
    expect(sameBytes(await client.chunks.get(B3Digest.of(both)), both)).toBe(true)
  })

  it('nothing at all, of what has bytes, is no content', async () => {
    const present: Handler = (_call, answer) => answer(null, {})
    await using peer = await peerOf(nothing, present)
    await using client = await clientOf(peer)
    await expect(client.chunks.get(HELLO.digest)).rejects.toMatchObject({ code: 'data-loss' })
    await expect(client.blobs.get(HELLO.digest)).rejects.toMatchObject({ code: 'data-loss' })
    await expect(readBlob(client.blobs, HELLO.digest)).rejects.toMatchObject({ code: 'data-loss' })
  })
})
