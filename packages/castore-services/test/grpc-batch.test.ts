import { status } from '@grpc/grpc-js'
import { B3Digest } from '@neve/castore-model'
import { type BlobService, BlobTooLargeError, CastoreError, DataLossError } from '@neve/castore-services'
import { MemoryBlobService } from '@neve/castore-services/blob/memory'
import {
  BLOB_BATCH_GRPC_SERVICE,
  BLOB_GRPC_SERVICE,
  type BlobBatchMethods,
  GrpcBlobService,
  GrpcCaller,
  type GrpcChannelOptions,
  openGrpcChannel,
} from '@neve/castore-services/grpc'
import {
  blobBatchImplementation,
  blobServiceImplementation,
  registerService,
} from '@neve/castore-services/grpc/server'
import { type CallContext, createServer, type ServiceImplementation } from 'nice-grpc'
import { describe, expect, it } from 'vitest'
import { randomBlob, sameBytes } from '../src/contract/blob-fixtures.js'

type Batch = ServiceImplementation<BlobBatchMethods>

/** A server that tells which calls came, and whose batches a test may falsify; without any, where there is none. */
async function serving(
  blobs: BlobService,
  falsify: ((batch: Batch) => Partial<Batch>) | null = () => ({}),
  options: GrpcChannelOptions = {},
) {
  const calls: string[] = []
  const server = createServer().use(async function* (call, context: CallContext) {
    calls.push(call.method.path.split('.').at(-1)!)
    return yield* call.next(call.request, context)
  })
  registerService(server, BLOB_GRPC_SERVICE, blobServiceImplementation(blobs))
  if (falsify !== null) {
    const batch = blobBatchImplementation(blobs)
    registerService(server, BLOB_BATCH_GRPC_SERVICE, { ...batch, ...falsify(batch) })
  }
  const port = await server.listen('127.0.0.1:0')
  const channel = await openGrpcChannel(`grpc+http://127.0.0.1:${port}`, options)
  const close = async () => {
    await channel.close()
    await server.shutdown()
  }
  return { blobs: new GrpcBlobService(channel), channel, calls, [Symbol.asyncDispose]: close }
}

const CONTENTS = Array.from({ length: 500 }, (_, index) => randomBlob(100 + index, index + 1))
const DIGESTS = CONTENTS.map(({ digest }) => digest)

function counted(calls: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const call of calls) counts[call] = (counts[call] ?? 0) + 1
  return counts
}

describe('small blobs, many at once', () => {
  it('travel together: put, has and get', async () => {
    await using setup = await serving(new MemoryBlobService())
    const put = await Promise.all(CONTENTS.map(({ content }) => setup.blobs.put(content)))
    expect(put.map(String)).toEqual(DIGESTS.map(String))
    const absent = B3Digest.of(new Uint8Array([1]))
    const has = await Promise.all([...DIGESTS, absent].map((digest) => setup.blobs.has(digest)))
    expect(has).toEqual([...DIGESTS.map(() => true), false])
    const got = await Promise.all([...DIGESTS, absent].map((digest) => setup.blobs.get(digest)))
    expect(got.pop()).toBeUndefined()
    for (const [index, content] of got.entries()) sameBytes(content!, CONTENTS[index]!.content)
    expect(counted(setup.calls)).toEqual({
      'BlobService/Put': 1,
      'BlobBatchService/Put': 1,
      'BlobService/Stat': 1,
      'BlobBatchService/Has': 1,
      'BlobService/Read': 1,
      'BlobBatchService/Get': 1,
    })
  })

  it('travel one by one to a server that knows no batches, which is asked once', async () => {
    await using setup = await serving(new MemoryBlobService(), null)
    await Promise.all(CONTENTS.map(({ content }) => setup.blobs.put(content)))
    const got = await Promise.all(DIGESTS.map((digest) => setup.blobs.get(digest)))
    for (const [index, content] of got.entries()) sameBytes(content!, CONTENTS[index]!.content)
    expect(counted(setup.calls)).toEqual({ 'BlobService/Put': 500, 'BlobService/Read': 500 })
  })

  it('travel one by one where a batch is more than a client accepts', async () => {
    await using setup = await serving(new MemoryBlobService(), null, { maxMessageSize: 16 * 1024 })
    await Promise.all(CONTENTS.map(({ content }) => setup.blobs.put(content)))
    await using tight = await serving(setup.blobs, () => ({}), { maxMessageSize: 16 * 1024 })
    const got = await Promise.all(DIGESTS.map((digest) => tight.blobs.get(digest)))
    for (const [index, content] of got.entries()) sameBytes(content!, CONTENTS[index]!.content)
    expect(counted(tight.calls)).toEqual({ 'BlobService/Read': 500, 'BlobBatchService/Get': 1 })
  })

  it('come with large ones beside them, which are read alone', async () => {
    const memory = new MemoryBlobService()
    const large = [70_000, 200_000, 900_000].map((length) => randomBlob(length, length))
    for (const { content } of [...large, ...CONTENTS]) await memory.put(content)
    await using setup = await serving(memory)
    const wanted = [CONTENTS[0]!, ...large, CONTENTS[1]!]
    const got = await Promise.all(wanted.map(({ digest }) => setup.blobs.get(digest)))
    for (const [index, content] of got.entries()) sameBytes(content!, wanted[index]!.content)
    const limited = await Promise.allSettled(
      [CONTENTS[0]!, large[1]!, CONTENTS[400]!].map(({ digest }) =>
        setup.blobs.get(digest, { maxSize: 300 }),
      ),
    )
    expect(limited.map((outcome) => (outcome as PromiseRejectedResult).reason)).toEqual([
      undefined,
      expect.any(BlobTooLargeError),
      expect.any(BlobTooLargeError),
    ])
    expect((limited[2] as PromiseRejectedResult).reason).toMatchObject({ size: 500n })
  })

  it('fill an answer only so far; the rest is read alone', async () => {
    const memory = new MemoryBlobService()
    const blobs = Array.from({ length: 80 }, (_, index) => randomBlob(60_000, index + 1))
    for (const { content } of blobs) await memory.put(content)
    await using setup = await serving(memory)
    const got = await Promise.all(blobs.map(({ digest }) => setup.blobs.get(digest)))
    for (const [index, content] of got.entries()) sameBytes(content!, blobs[index]!.content)
    const fits = Math.floor((3 * 1024 * 1024) / 60_000)
    expect(counted(setup.calls)).toEqual({
      'BlobService/Read': 1 + 79 - fits,
      'BlobBatchService/Get': 1,
    })
  })
})

describe('a server that answers wrongly', () => {
  const stored = async (): Promise<MemoryBlobService> => {
    const memory = new MemoryBlobService()
    for (const { content } of CONTENTS.slice(0, 4)) await memory.put(content)
    return memory
  }
  const some = DIGESTS.slice(0, 4)

  it('is found out where contents are others, without harm to those beside them', async () => {
    const setup = await serving(await stored(), (batch) => ({
      async Get(request, context) {
        const { answers = [] } = await batch.Get(request, context)
        return {
          answers: answers!.map((answer, index) =>
            index === 1 ? { ...answer, content: new Uint8Array(3) } : answer,
          ),
        }
      },
    }))
    await using _setup = setup
    const outcomes = await Promise.allSettled(some.map((digest) => setup.blobs.get(digest)))
    expect(outcomes.map((outcome) => outcome.status)).toEqual([
      'fulfilled',
      'fulfilled',
      'rejected',
      'fulfilled',
    ])
    const { reason } = outcomes[2] as PromiseRejectedResult
    expect(reason).toBeInstanceOf(DataLossError)
    expect((reason as DataLossError).digest.equals(some[2]!)).toBe(true)
  })

  it.each([0, 2, 4])('is found out by %i answers about 3 blobs', async (count) => {
    const wrong = { outcome: 2 }
    const setup = await serving(await stored(), () => ({
      Get: async () => ({ answers: Array.from({ length: count }, () => wrong) }),
      Has: async () => ({ stored: new Uint8Array(count) }),
      Put: async () => ({ digests: Array.from({ length: count }, () => new Uint8Array(32)) }),
    }))
    await using _setup = setup
    for (const call of [
      (index: number): Promise<unknown> => setup.blobs.get(some[index]!),
      (index: number) => setup.blobs.has(some[index]!),
      (index: number) => setup.blobs.put(CONTENTS[index]!.content),
    ]) {
      const outcomes = await Promise.allSettled([0, 1, 2, 3].map(call))
      expect(outcomes[0]).toMatchObject({ status: 'fulfilled' })
      for (const outcome of outcomes.slice(1)) {
        const { reason } = outcome as PromiseRejectedResult
        expect(reason).toBeInstanceOf(CastoreError)
        expect(reason).toMatchObject({
          code: 'storage',
          message: expect.stringContaining(`${count} answers about 3 blobs`),
        })
      }
    }
  })

  it('is found out by the digest of what it stored', async () => {
    const setup = await serving(new MemoryBlobService(), () => ({
      Put: async ({ contents }) => ({ digests: contents!.map(() => B3Digest.EMPTY.bytes) }),
    }))
    await using _setup = setup
    const outcomes = await Promise.allSettled(
      CONTENTS.slice(0, 3).map(({ content }) => setup.blobs.put(content)),
    )
    expect(outcomes.map((outcome) => outcome.status)).toEqual(['fulfilled', 'rejected', 'rejected'])
    expect((outcomes[1] as PromiseRejectedResult).reason).toMatchObject({ code: 'storage' })
  })
})

describe('a client that asks wrongly', () => {
  const rows: [string, number, number, number][] = [
    ['a digest of 31 bytes', 1, 31, status.INVALID_ARGUMENT],
    ['an empty digest', 1, 0, status.INVALID_ARGUMENT],
    ['1025 digests', 1025, 32, status.INVALID_ARGUMENT],
  ]
  it.each(rows)('is refused: %s', async (_what, count, length, code) => {
    await using setup = await serving(new MemoryBlobService())
    const caller = new GrpcCaller(setup.channel, BLOB_BATCH_GRPC_SERVICE)
    const digests = Array.from({ length: count }, () => new Uint8Array(length))
    for (const method of ['Has', 'Get'] as const) {
      const call = caller.call<unknown>((client) => client[method]({ digests }))
      await expect(call).rejects.toMatchObject({ status: code })
    }
  })

  it('is refused: 1025 contents, of which none is stored', async () => {
    const memory = new MemoryBlobService()
    await using setup = await serving(memory)
    const caller = new GrpcCaller(setup.channel, BLOB_BATCH_GRPC_SERVICE)
    const contents = Array.from({ length: 1025 }, (_, index) => CONTENTS[index % 500]!.content)
    const call = caller.call((client) => client.Put({ contents }))
    await expect(call).rejects.toMatchObject({ status: status.INVALID_ARGUMENT })
    expect(await memory.has(DIGESTS[0]!)).toBe(false)
  })

  it('is told of damage by the single call', async () => {
    const memory = new MemoryBlobService()
    for (const { content } of CONTENTS.slice(0, 3)) await memory.put(content)
    const damaged: BlobService = Object.assign(Object.create(memory) as MemoryBlobService, {
      get: async (digest: B3Digest, options?: object) => {
        if (digest.equals(DIGESTS[1]!)) throw new DataLossError(digest, 'a test', 'contents invalid')
        return await memory.get(digest, options)
      },
    })
    await using setup = await serving(damaged)
    const outcomes = await Promise.allSettled(DIGESTS.slice(0, 3).map((digest) => setup.blobs.get(digest)))
    expect(outcomes.map((outcome) => outcome.status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect((outcomes[1] as PromiseRejectedResult).reason).toBeInstanceOf(DataLossError)
  })
})
