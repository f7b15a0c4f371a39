import { createServer, type Server, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { B3Digest } from '@neve/castore-model'
import { type BlobReader, blobStream } from '@neve/castore-services'
import { MemoryBlobService } from '@neve/castore-services/blob/memory'
import { MemoryDirectoryService } from '@neve/castore-services/directory/memory'
import {
  BLOB_GRPC_SERVICE,
  GrpcBlobService,
  GrpcDirectoryService,
  openGrpcChannel,
} from '@neve/castore-services/grpc'
import { castoreServer } from '@neve/castore-services/grpc/server'
import { describe, expect, it } from 'vitest'
import { HELLO, randomBlob } from '../src/contract/blob-fixtures.js'
import { A, B, distinctDirectory, WITH_KEEP } from '../src/contract/directory-fixtures.js'
import { blobMessages } from '../src/grpc/blob-messages.js'
import { deferred } from './deferred.js'
import { grpcPair, openHandles } from './grpc-fixture.js'
import { PeerClient } from './grpc-peer.js'

const LARGE = randomBlob(3 * 1024 * 1024, 41)

/** Memory that says what was stored, and how uploads ended. */
class Watched extends MemoryBlobService {
  readonly stored: string[] = []

  override async put(content: Uint8Array): Promise<B3Digest> {
    const digest = await super.put(content)
    this.stored.push(digest.toHex())
    return digest
  }

  override openWrite(): ReturnType<MemoryBlobService['openWrite']> {
    const writer = super.openWrite()
    const close = writer.close.bind(writer)
    writer.close = async (options) => {
      const digest = await close(options)
      this.stored.push(digest.toHex())
      return digest
    }
    return writer
  }
}

/** Waits until what becomes true by itself. */
async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await sleep(5)
}

describe('an upload that is given up', () => {
  it.each([
    ['before anything was sent', 100],
    ['after a message', 300 * 1024],
    ['after many messages', 3 * 1024 * 1024],
  ])('02#23 leaves nothing behind: %s', async (_name, length) => {
    const blobs = new Watched()
    await using pair = await grpcPair('unix', { blobs })
    const service = new GrpcBlobService(pair.channel)
    for (let round = 0; round < 20; round++) {
      const writer = service.openWrite()
      await writer.write(LARGE.content.subarray(0, length))
      if (round % 2) await writer.flush()
      // Everything was sent and has arrived, as another upload after it has: to a server that is not told, it looks
      // complete.
      if (round % 4 > 1) await service.put(HELLO.content)
      await writer.abort()
    }
    expect((await service.put(HELLO.content)).equals(HELLO.digest)).toBe(true)
    expect(new Set(blobs.stored)).toEqual(new Set([HELLO.digest.toHex()]))
    expect(blobs.stored).toHaveLength(11)
  })

  it('leaves no directory behind either', async () => {
    const directories = new MemoryDirectoryService()
    await using pair = await grpcPair('unix', { directories })
    const service = new GrpcDirectoryService(pair.channel)
    for (let round = 0; round < 20; round++) {
      const putter = service.putMultipleStart()
      await putter.put(distinctDirectory(round))
      if (round % 2) await service.put(A)
      await putter.abort()
    }
    await service.put(A)
    for (let round = 0; round < 20; round++) {
      expect(await directories.get(distinctDirectory(round).digest())).toBeUndefined()
    }
  })

  it('leaves nothing behind when the connection breaks', async () => {
    const blobs = new Watched()
    const directories = new MemoryDirectoryService()
    await using pair = await grpcPair('tcp', { blobs, directories })
    await using proxy = await startProxy(Number(pair.channel.name.split(':').at(-1)))
    await using channel = await openGrpcChannel(proxy.url)
    const writer = new GrpcBlobService(channel).openWrite()
    await writer.write(LARGE.content.subarray(0, 500_000))
    await writer.flush()
    const putter = new GrpcDirectoryService(channel).putMultipleStart()
    await putter.put(WITH_KEEP)
    await until(() => proxy.passed() > 500_000)
    proxy.cut()
    await expect(writer.close()).rejects.toMatchObject({ code: 'unavailable' })
    await expect(putter.close()).rejects.toMatchObject({ code: 'unavailable' })
    await new GrpcBlobService(pair.channel).put(HELLO.content)
    expect(blobs.stored).toEqual([HELLO.digest.toHex()])
    expect(await directories.get(WITH_KEEP.digest())).toBeUndefined()
  })

  it.each([
    ['all of it was sent', 1000],
    ['the window of the server is used up', 256 * 1024],
  ])('is never ended, but reset, when %s', async (_name, length) => {
    await using server = await startMute()
    await using channel = await openGrpcChannel(server.url)
    const upload = await channel.client(BLOB_GRPC_SERVICE.generations.get('snix')!).Put()
    const sent = () =>
      server.frames.reduce((sum, frame) => sum + (frame.type === 'DATA' ? frame.length : 0), 0)
    for (const message of blobMessages(LARGE.content.subarray(0, length)))
      void upload.send(message).catch(() => {})
    // A fresh connection takes no more than 65,535 bytes.
    await until(() => sent() >= Math.min(length, 65_535))
    const reason = new Error('not wanted any more')
    upload.cancel(reason)
    await expect(upload.finish()).rejects.toBe(reason)
    await until(() => server.frames.some(({ type }) => type === 'RST_STREAM'))
    // A server that read the end before the reset could take what it has for the whole.
    expect(server.frames.filter(({ type, flags }) => type === 'DATA' && flags & END_STREAM)).toEqual([])
    // Others than INTERNAL_ERROR do for servers, too; CANCEL is a clean end to some.
    expect(server.frames.find(({ type }) => type === 'RST_STREAM')?.code).toBe(2)
  })

  it('leaves nothing behind when the client is a stranger that cancels', async () => {
    const blobs = new Watched()
    const server = castoreServer({ blobs })
    const { address } = await server.listen('127.0.0.1:0')
    using client = new PeerClient('snix', address)
    for (let round = 0; round < 20; round++) {
      const outcome = await client.upload('BlobService', 'Put', (call) => {
        call.write({ data: LARGE.content.subarray(round, round + 1000) })
        setTimeout(() => call.cancel(), round % 3)
      })
      expect(outcome.code).toBe(1)
    }
    await client.put('BlobService', [{ data: HELLO.content }])
    expect(blobs.stored).toEqual([HELLO.digest.toHex()])
    await server.close()
  })
})

describe('a call that is cancelled', () => {
  it('ends the work of the server', async () => {
    const begun = deferred<AbortSignal>()
    const blobs = new MemoryBlobService()
    blobs.get = async (_digest, options) => {
      begun.resolve(options!.signal!)
      return await new Promise(() => {})
    }
    await using pair = await grpcPair('unix', { blobs })
    const controller = new AbortController()
    const reason = new Error('not wanted any more')
    const getting = new GrpcBlobService(pair.channel).get(HELLO.digest, { signal: controller.signal })
    const signal = await begun.promise
    expect(signal.aborted).toBe(false)
    controller.abort(reason)
    await expect(getting).rejects.toBe(reason)
    await until(() => signal.aborted)
  })

  it('ends the reading of a stream that is left', async () => {
    let closed = 0
    const content = randomBlob(40 * 1024 * 1024, 42)
    const blobs = new MemoryBlobService()
    await blobs.put(content.content)
    const open = blobs.open.bind(blobs)
    blobs.open = async (digest) => {
      const reader = (await open(digest)) as BlobReader
      const close = reader.close.bind(reader)
      reader.close = async () => {
        closed += 1
        await close()
      }
      return reader
    }
    await using pair = await grpcPair('unix', { blobs, limits: { window: 65_536 } }, { window: 65_536 })
    const client = pair.channel.client(BLOB_GRPC_SERVICE.generations.get('snix')!)
    for await (const piece of client.Read({ digest: content.digest.bytes })) {
      expect(piece.length).toBeGreaterThan(0)
      break
    }
    await until(() => closed === 1)
  })

  it('fails, and the next one too, when the channel is closed', async () => {
    const blobs = new MemoryBlobService()
    let asked = false
    blobs.has = () => {
      asked = true
      return new Promise(() => {})
    }
    await using pair = await grpcPair('unix', { blobs })
    const service = new GrpcBlobService(pair.channel)
    const asking = service.has(HELLO.digest)
    const failed = expect(asking).rejects.toMatchObject({ code: 'closed' })
    await until(() => asked)
    await pair.channel.close()
    await failed
    await expect(service.has(HELLO.digest)).rejects.toMatchObject({ code: 'closed' })
    await expect(service.get(HELLO.digest)).rejects.toMatchObject({ code: 'closed' })
    await expect(service.put(HELLO.content)).rejects.toMatchObject({ code: 'closed' })
  })
})

describe('a server that is silent', () => {
  it('is waited for no longer than was said', async () => {
    const blobs = new MemoryBlobService()
    const never = () => new Promise<never>(() => {})
    Object.assign(blobs, { has: never, get: never, put: never })
    await using pair = await grpcPair('unix', { blobs }, { timeout: 60 })
    const service = new GrpcBlobService(pair.channel)
    for (const call of [
      () => service.has(HELLO.digest),
      () => service.get(HELLO.digest),
      () => service.put(HELLO.content),
    ]) {
      const error = await call().catch((thrown: unknown) => thrown)
      expect(error).toMatchObject({
        code: 'unavailable',
        message: expect.stringContaining('no sign of life for 60 ms'),
      })
    }
  })

  it('is not cut off while it sends', async () => {
    const blobs = new MemoryBlobService()
    const { content, digest } = randomBlob(200 * 1024, 43)
    await blobs.put(content)
    await using pair = await grpcPair('unix', { blobs }, { timeout: 200 })
    const service = new GrpcBlobService(pair.channel)
    await using reader = await service.open(digest)
    blobs.has = () => new Promise(() => {})
    let length = 0
    for await (const piece of blobStream(reader!)) {
      length += piece.length
      // The consumer may take its time, as long as a call takes to fail: that is not the server's silence.
      await expect(service.has(HELLO.digest)).rejects.toMatchObject({ code: 'unavailable' })
    }
    expect(length).toBe(content.length)
  })

  it('is not connected to for ever', async () => {
    const silent = createServer()
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
    const { port } = silent.address() as { port: number }
    const url = `grpc+http://127.0.0.1:${port}`
    const opening = openGrpcChannel(url, { waitConnect: true, connectTimeout: 100 })
    await expect(opening).rejects.toMatchObject({ code: 'unavailable' })
    silent.close()
  })
})

describe('a pair that was closed', () => {
  it('leaves no socket open', async () => {
    const before = openHandles()
    for (let round = 0; round < 5; round++) {
      await using pair = await grpcPair('unix', {
        blobs: new MemoryBlobService(),
        directories: new MemoryDirectoryService(),
      })
      const blobs = new GrpcBlobService(pair.channel)
      await blobs.put(LARGE.content)
      await using _reader = await blobs.open(LARGE.digest)
      const abandoned = blobs.openWrite()
      await abandoned.write(LARGE.content)
      await abandoned.abort()
      const putter = new GrpcDirectoryService(pair.channel).putMultipleStart()
      await putter.put(A)
      await putter.put(B)
      await putter.close()
    }
    await until(() => openHandles() <= before)
  })
})

/** Passes a TCP connection through, until it is cut. */
async function startProxy(port: number) {
  const { connect } = await import('node:net')
  const sockets = new Set<Socket>()
  let passed = 0
  const server: Server = createServer((near) => {
    const far = connect(port, '127.0.0.1')
    for (const socket of [near, far]) {
      sockets.add(socket)
      socket.on('error', () => {})
    }
    near.on('data', (data) => (passed += data.length))
    near.pipe(far).pipe(near)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const cut = () => {
    server.close()
    for (const socket of sockets) socket.destroy()
  }
  const { port: own } = server.address() as { port: number }
  return {
    url: `grpc+http://127.0.0.1:${own}`,
    cut,
    passed: () => passed,
    [Symbol.asyncDispose]: async () => cut(),
  }
}

const FRAME_TYPES = ['DATA', 'HEADERS', 'PRIORITY', 'RST_STREAM', 'SETTINGS']
const SETTINGS = Uint8Array.of(0, 0, 0, 4, 0, 0, 0, 0, 0)
const PREFACE_LENGTH = 24
const END_STREAM = 1

interface Frame {
  readonly type: string | undefined
  readonly flags: number
  readonly length: number
  readonly code: number | undefined
}

/** An HTTP/2 server that lets a client begin, and lists the frames that it sends. */
async function startMute() {
  const frames: Frame[] = []
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.write(SETTINGS)
    let received = Buffer.alloc(0)
    let at = PREFACE_LENGTH
    socket.on('error', () => {})
    socket.on('data', (data) => {
      received = Buffer.concat([received, data])
      while (received.length >= at + 9) {
        const length = received.readUIntBE(at, 3)
        if (received.length < at + 9 + length) break
        const type = FRAME_TYPES[received[at + 3]!]
        const code = type === 'RST_STREAM' ? received.readUInt32BE(at + 9) : undefined
        frames.push({ type, flags: received[at + 4]!, length, code })
        at += 9 + length
      }
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  const close = async () => {
    server.close()
    for (const socket of sockets) socket.destroy()
  }
  return { url: `grpc+http://127.0.0.1:${port}`, frames, [Symbol.asyncDispose]: close }
}
