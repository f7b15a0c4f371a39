import { createServer, type Http2Server, type IncomingHttpHeaders } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { B3Digest } from '@neve/castore-model'
import { MemoryBlobService } from '@neve/castore-services/blob/memory'
import { ObjectStoreBlobService } from '@neve/castore-services/blob/object-store'
import { MemoryDirectoryService } from '@neve/castore-services/directory/memory'
import {
  GrpcBlobListStore,
  GrpcBlobService,
  GrpcDirectoryService,
  openGrpcChannel,
} from '@neve/castore-services/grpc'
import { castoreServer } from '@neve/castore-services/grpc/server'
import { MemoryObjectStore } from '@neve/castore-services/object-store'
import { expect, it } from 'vitest'
import { BLOB_A } from '../src/contract/blob-fixtures.js'
import { A, B, C, COMPLICATED, WITH_KEEP } from '../src/contract/directory-fixtures.js'
import { temporaryFolder } from './embedded-fixture.js'

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const [a, blobA] = [A.digest().toHex(), BLOB_A.digest.toHex()]
const c = '78eb200ae0cc95d4ea954655fbcf91e285013a261310e161927f2401d2bca803'
/** The five chunks of spec 02 section 7.2, as the answer to a Stat. */
const FIVE_CHUNKS =
  '12240a207b7015bb92cf0b318037702a6cdd81dee41224f734684c2c122cd6359cb1ee63100212240a20024a7fdb2a86c4eae9600a1cfbfd4487ddc15c0a8fa59abfebd6f92bd0031fe5100412240a201c310b6bdadd69991cd4e5dbef96c2638536c32b534e3ed64785846bfcebd206100112240a20d241b5ab32d2206564b51c8ec05944f6af6d7622c2f607f34c0622223a2b3cd7100212240a20465ded54852258aadefafc109bac1cb1c1275ad9ac15af4fe9996dff9473f50e1007'

interface Recorded {
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly messages: string[]
}

/** A server made of HTTP/2 alone: what it receives, byte by byte, and what it answers. */
async function bareServer(answers: Readonly<Record<string, readonly string[]>>) {
  const received: Recorded[] = []
  const server: Http2Server = createServer()
  server.on('stream', async (stream, headers) => {
    const pieces: Buffer[] = []
    for await (const piece of stream) pieces.push(piece as Buffer)
    const path = String(headers[':path'])
    received.push({ path, headers, messages: messagesOf(Buffer.concat(pieces)) })
    const messages = answers[path.slice(path.lastIndexOf('/') + 1)]
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': messages === undefined ? 12 : 0 }))
    for (const message of messages ?? []) stream.write(frame(message))
    stream.end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const channel = await openGrpcChannel(`grpc+http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  const close = async () => {
    await channel.close()
    server.close()
  }
  return { received, channel, [Symbol.asyncDispose]: close }
}

function frame(hex: string): Buffer {
  const message = Buffer.from(hex, 'hex')
  const header = Buffer.alloc(5)
  header.writeUInt32BE(message.length, 1)
  return Buffer.concat([header, message])
}

function messagesOf(bytes: Buffer): string[] {
  const messages: string[] = []
  for (let at = 0; at < bytes.length; ) {
    expect(bytes[at]).toBe(0)
    const end = at + 5 + bytes.readUInt32BE(at + 1)
    messages.push(hexOf(bytes.subarray(at + 5, end)))
    at = end
  }
  return messages
}

it('the messages of blobs are those of spec 02 section 17.2, byte by byte', async () => {
  const put = `0a20${blobA}`
  await using bare = await bareServer({ Stat: [FIVE_CHUNKS], Read: ['0a020001'], Put: [put] })
  const blobs = new GrpcBlobService(bare.channel)
  expect(await blobs.has(BLOB_A.digest)).toBe(true)
  const chunks = await blobs.chunks(BLOB_A.digest)
  expect(chunks?.map(({ size }) => size)).toEqual([2n, 4n, 1n, 2n, 7n])
  expect(await blobs.get(BLOB_A.digest)).toEqual(BLOB_A.content)
  await blobs.put(BLOB_A.content)
  expect(bare.received.map(({ path, messages }) => [path.split('/').at(-1), messages])).toEqual([
    ['Stat', [`0a20${blobA}`]],
    ['Stat', [`0a20${blobA}1001`]],
    ['Read', [`0a20${blobA}`]],
    ['Put', ['0a020001']],
  ])
  for (const { headers, path } of bare.received) {
    expect(path).toMatch(/^\/snix\.castore\.v1\.BlobService\//)
    expect(headers).toMatchObject({ 'content-type': 'application/grpc', te: 'trailers', ':method': 'POST' })
  }
})

it('the messages of directories are those of spec 03 section 13, byte by byte', async () => {
  const encoded = hexOf(C.encode())
  await using bare = await bareServer({ Get: [encoded, hexOf(A.encode())], Put: [`0a20${c}`] })
  const directories = new GrpcDirectoryService(bare.channel)
  const found = []
  for await (const directory of directories.getRecursive(C.digest())) found.push(directory.digest().toHex())
  expect(found).toEqual([c, a])
  const putter = directories.putMultipleStart()
  await putter.put(A)
  await putter.put(C)
  expect((await putter.close()).toHex()).toBe(c)
  await expect(directories.get(A.digest())).rejects.toMatchObject({ code: 'data-loss' })
  expect(bare.received.map(({ path, messages }) => [path.split('/').at(-1), messages])).toEqual([
    ['Get', [`0a20${c}1001`]],
    ['Put', ['', encoded]],
    ['Get', [`0a20${a}`]],
  ])
  expect(encoded).toBe(`0a250a01611220${a}0a260a0261271220${a}`)
  expect(hexOf(B.encode())).toBe(`0a250a01611220${a}`)
  expect(hexOf(WITH_KEEP.encode())).toBe(`12290a052e6b6565701220${B3Digest.EMPTY.toHex()}`)
  expect(COMPLICATED.digest().toHex()).toBe(
    '3f951a15afd586fb3121ef4d13d582e811ce0e5a7f21c0497fd87490e9e2355a',
  )
})

it('02#16 03#34 an empty server on a unix socket has nothing', async () => {
  await using server = castoreServer({
    blobs: new MemoryBlobService(),
    directories: new MemoryDirectoryService(),
  })
  const path = join(temporaryFolder(), 'socket')
  await server.listen(path)
  await using channel = await openGrpcChannel(`grpc+unix://${path}?wait-connect=1`)
  expect(await new GrpcBlobService(channel).has(BLOB_A.digest)).toBe(false)
  expect(await new GrpcDirectoryService(channel).get(A.digest())).toBeUndefined()
})

it('10#4 a list object without bytes is told as one entry with the right size', async () => {
  const store = new MemoryObjectStore()
  const blobs = new ObjectStoreBlobService({ store })
  await blobs.put(BLOB_A.content)
  const key = `blobs/b3/${blobA.slice(0, 4)}/${blobA}`
  expect(await store.head(key)).toMatchObject({ size: 0 })
  await using server = castoreServer({ blobs })
  const { url } = await server.listen('127.0.0.1:0')
  await using channel = await openGrpcChannel(url)
  const list = await new GrpcBlobListStore(channel).get(BLOB_A.digest)
  expect(list?.map(({ digest, size }) => [digest.toHex(), size])).toEqual([[blobA, 2n]])
  await blobs.close()
})
