import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { status } from '@grpc/grpc-js'
import { B3Digest } from '@neve/castore-model'
import { neve } from '@neve/castore-model/proto'
import type { BlobService } from '@neve/castore-services'
import { MemoryBlobService } from '@neve/castore-services/blob/memory'
import { MemoryDirectoryService } from '@neve/castore-services/directory/memory'
import {
  BLOB_BATCH_GRPC_SERVICE,
  BLOB_GRPC_SERVICE,
  GrpcBlobService,
  openGrpcChannel,
} from '@neve/castore-services/grpc'
import {
  blobBatchImplementation,
  blobServiceImplementation,
  registerService,
} from '@neve/castore-services/grpc/server'
import { ingestPath } from '@neve/castore-services/ingest/filesystem'
import * as fc from 'fast-check'
import { type CallContext, createServer } from 'nice-grpc'
import { describe, expect, it } from 'vitest'
import { framedChunk } from '../src/blob/chunk-frames.js'
import type { FramedBlob } from '../src/blob/framed-blobs.js'
import { HELLO, randomBlob } from '../src/contract/blob-fixtures.js'
import { putFramedRequest } from '../src/grpc/framed-messages.js'
import { embeddedServices, temporaryFolder } from './embedded-fixture.js'
import { contentOf } from './host-tree.js'

/** A server that tells which calls came. @param batches whether it knows more than everybody does */
async function serving(blobs: BlobService, batches = true) {
  const calls: string[] = []
  const server = createServer().use(async function* (call, context: CallContext) {
    calls.push(call.method.path.split('.').at(-1)!)
    return yield* call.next(call.request, context)
  })
  registerService(server, BLOB_GRPC_SERVICE, blobServiceImplementation(blobs))
  if (batches) registerService(server, BLOB_BATCH_GRPC_SERVICE, blobBatchImplementation(blobs))
  const port = await server.listen('127.0.0.1:0')
  const channel = await openGrpcChannel(`grpc+http://127.0.0.1:${port}`)
  const close = async () => {
    await channel.close()
    await server.shutdown()
  }
  return { blobs: new GrpcBlobService(channel), channel, calls, [Symbol.asyncDispose]: close }
}

function framed(...pieces: readonly Uint8Array[]): FramedBlob {
  const chunks = pieces.map((piece) => ({
    digest: B3Digest.of(piece),
    size: piece.length,
    frame: framedChunk(piece),
  }))
  return { digest: B3Digest.of(Buffer.concat(pieces)), chunks }
}

const text = Buffer.from('a line that comes again\n'.repeat(2000))
const random = randomBlob(70_000, 1).content
const short = Buffer.from('x')
const cases: [string, Uint8Array[]][] = [
  ['compresses', [text]],
  ['does not compress', [random]],
  ['is too short to', [short]],
  ['has several chunks', [text, random, text]],
]

describe.each(['embedded', 'memory'])('blobs that come as frames, into a %s service', (kind) => {
  const open = async (): Promise<BlobService> =>
    kind === 'memory' ? new MemoryBlobService() : (await embeddedServices()).blobs

  it.each(cases)('are stored: one that %s', async (_what, pieces) => {
    const behind = await open()
    await using setup = await serving(behind)
    const blob = framed(...pieces)
    await setup.blobs.putFramed([framed(HELLO.content), blob, { digest: B3Digest.EMPTY, chunks: [] }])
    expect((await contentOf(behind, blob.digest)).equals(Buffer.concat(pieces))).toBe(true)
    expect((await contentOf(setup.blobs, blob.digest)).equals(Buffer.concat(pieces))).toBe(true)
    expect(await behind.has(HELLO.digest)).toBe(true)
    expect(setup.calls).toContain('BlobBatchService/PutFramed')
  })
})

describe('a client that sends wrong frames', () => {
  const good = framed(text, random)
  const [first, second] = good.chunks
  const other = B3Digest.of(new Uint8Array([1]))
  const one = (change: object): FramedBlob[] => {
    const chunk = { ...framed(text).chunks[0]!, ...change }
    return [{ digest: chunk.digest, chunks: [chunk] }]
  }
  const rows: [string, readonly FramedBlob[]][] = [
    ['content of another digest', one({ digest: other })],
    ['a size that is too large', one({ size: text.length + 1 })],
    ['a size that is too small', one({ size: text.length - 1 })],
    ['no content', one({ size: 0, frame: framedChunk(new Uint8Array(0)), digest: B3Digest.EMPTY })],
    ['no frame', one({ frame: text })],
    ['a frame that was cut off', one({ frame: framedChunk(text).subarray(0, -1) })],
    ['two frames', one({ frame: Buffer.concat([framedChunk(text), framedChunk(short)]) })],
    ['damage in a frame', one({ frame: framedChunk(text).map((byte, at) => (at === 12 ? byte ^ 1 : byte)) })],
    ['a blob of another digest', [{ digest: other, chunks: good.chunks }]],
    ['chunks in another order', [{ digest: good.digest, chunks: [second!, first!] }]],
    ['a chunk of another digest', [{ digest: good.digest, chunks: [first!, { ...second!, digest: other }] }]],
    ['a blob that is too large', [framed(...Array.from({ length: 100 }, () => text))]],
    ['too many blobs', Array.from({ length: 1025 }, () => framed(short))],
  ]

  it.each(rows)('is refused: %s', async (_what, blobs) => {
    const { blobs: behind, engine } = await embeddedServices()
    await using setup = await serving(behind)
    const putting = setup.blobs.putFramed([framed(HELLO.content), ...blobs])
    await expect(putting).rejects.toMatchObject({ status: status.INVALID_ARGUMENT })
    expect(engine.count('content')).toBe(0)
  })

  const { PutFramedBlobsRequest } = neve.castore.v1
  const request = {
    chunk_counts: [1],
    digests: B3Digest.of(text).bytes,
    sizes: [text.length],
    frame_lengths: [framedChunk(text).length],
    frames: framedChunk(text),
  }
  const malformed: [string, object][] = [
    ['a blob without chunks', { chunk_counts: [0, 1] }],
    ['more chunks than there are', { chunk_counts: [2] }],
    ['chunks without end', { chunk_counts: [0xffff_ffff] }],
    ['chunks of no blob', { chunk_counts: [] }],
    ['half a digest', { digests: new Uint8Array(16) }],
    ['a digest too many', { digests: new Uint8Array(64) }],
    ['a size too many', { sizes: [1, 2] }],
    ['a frame that is not there', { frame_lengths: [framedChunk(text).length + 1] }],
    ['bytes of no frame', { frame_lengths: [3] }],
  ]
  it.each(malformed)('is refused: %s', (_what, change) => {
    const bytes = PutFramedBlobsRequest.encode({ ...request, ...change }).finish()
    expect(() => putFramedRequest.decode(bytes)).toThrow()
    expect(putFramedRequest.decode(PutFramedBlobsRequest.encode(request).finish())).toHaveLength(1)
  })
})

describe('the message of framed blobs', () => {
  const chunk = fc.record({
    digest: fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => B3Digest.from(bytes)),
    size: fc.nat({ max: 2 ** 32 - 1 }),
    frame: fc.uint8Array({ maxLength: 200 }),
  })
  const blob = fc.array(chunk, { minLength: 1, maxLength: 4 }).chain((chunks) => {
    const [only] = chunks
    const digest = chunks.length === 1 ? fc.constant(only!.digest) : chunk.map((any) => any.digest)
    return fc.record({ digest, chunks: fc.constant(chunks) })
  })
  const plain = (blobs: readonly FramedBlob[]) =>
    blobs.map(({ digest, chunks }) => [
      String(digest),
      chunks.map((one) => [String(one.digest), one.size, Buffer.from(one.frame).toString('hex')]),
    ])

  it('gives back what was put into it', () => {
    fc.assert(
      fc.property(fc.array(blob, { maxLength: 10 }), (blobs) => {
        expect(plain(putFramedRequest.decode(putFramedRequest.encode(blobs)))).toEqual(plain(blobs))
      }),
    )
  })

  it('is decoded or refused, whatever it is', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        let decoded: readonly FramedBlob[] = []
        try {
          decoded = putFramedRequest.decode(bytes)
        } catch (error) {
          expect(error).toBeInstanceOf(Error)
        }
        for (const { chunks } of decoded) expect(chunks.length).toBeGreaterThan(0)
      }),
    )
  })
})

describe('an import over gRPC', () => {
  const writeTree = (): string => {
    const tree = join(temporaryFolder(), 'tree')
    mkdirSync(tree)
    for (let index = 0; index < 300; index++) {
      writeFileSync(join(tree, `small ${index}`), randomBlob(index * 5, index % 290).content)
    }
    writeFileSync(join(tree, 'cut'), randomBlob(900_000, 1001).content)
    writeFileSync(join(tree, 'large'), randomBlob(3_000_000, 1002).content)
    return tree
  }

  it.each([
    ['our server', true],
    ["a stranger's server, file by file", false],
  ])('stores a tree on %s', async (_what, batches) => {
    const tree = writeTree()
    const here = await embeddedServices()
    const expected = await ingestPath(here, tree)
    const { blobs: behind } = await embeddedServices()
    await using setup = await serving(behind, batches)
    const directories = new MemoryDirectoryService()
    const { node } = await ingestPath({ blobs: setup.blobs, directories }, tree)
    expect(node).toEqual(expected.node)
    const root = await directories.get((node as { digest: B3Digest }).digest)
    for (const { node: file } of root!.entries) {
      if (file.kind !== 'file') continue
      const wanted = await contentOf(here.blobs, file.digest)
      expect((await contentOf(behind, file.digest)).equals(wanted)).toBe(true)
      expect(await behind.chunks(file.digest)).toEqual(await here.blobs.chunks(file.digest))
    }
    expect(setup.calls.includes('BlobBatchService/PutFramed')).toBe(batches)
    // The large one goes as it is in any case.
    expect(setup.calls).toContain('BlobService/Put')
  })
})
