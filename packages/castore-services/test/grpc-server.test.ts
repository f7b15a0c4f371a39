import { status } from '@grpc/grpc-js'
import { B3Digest, type Directory } from '@neve/castore-model'
import { type BlobService, CastoreError, type CastoreErrorCode, DataLossError } from '@neve/castore-services'
import { MemoryBlobService } from '@neve/castore-services/blob/memory'
import { MemoryDirectoryService } from '@neve/castore-services/directory/memory'
import { GrpcBlobService, openGrpcChannel } from '@neve/castore-services/grpc'
import { type CastoreServerInit, castoreServer } from '@neve/castore-services/grpc/server'
import { describe, expect, it } from 'vitest'
import { BLOB_A, BLOB_B, HELLO, randomBlob, sameBytes } from '../src/contract/blob-fixtures.js'
import {
  A,
  B,
  BROKEN_PARENT,
  C,
  COMPLICATED,
  D,
  upload,
  WITH_KEEP,
} from '../src/contract/directory-fixtures.js'
import { decoded, type Generation, type Message, type Outcome, PeerClient } from './grpc-peer.js'

const GENERATIONS: readonly Generation[] = ['snix', 'tvix']
const LARGE = randomBlob(3 * 1024 * 1024 + 17, 31)

/** Our server, and a stranger's client. */
async function serving(init: CastoreServerInit, generation: Generation = 'snix') {
  const server = castoreServer(init)
  const { address } = await server.listen('127.0.0.1:0')
  const client = new PeerClient(generation, address)
  const close = async () => {
    client[Symbol.dispose]()
    await server.close()
  }
  return { client, address, [Symbol.asyncDispose]: close }
}

function pieces(content: Uint8Array, length: number): Message[] {
  return Array.from({ length: Math.ceil(content.length / length) }, (_, index) => ({
    data: content.subarray(index * length, (index + 1) * length),
  }))
}

const joined = ({ answers }: Outcome): Uint8Array => Buffer.concat(answers.map(({ data }) => data!))

describe.each(GENERATIONS)('a server of blobs, with a client of another make: %s', (generation) => {
  it('02#28 answers for digests of a wrong length, and for what is absent', async () => {
    await using setup = await serving({ blobs: new MemoryBlobService() }, generation)
    for (const method of ['Stat', 'Read']) {
      for (const length of [0, 31, 33]) {
        const outcome = await setup.client.call('BlobService', method, { digest: new Uint8Array(length) })
        expect(outcome).toEqual({
          answers: [],
          code: status.INVALID_ARGUMENT,
          details: 'invalid digest length',
        })
      }
      const absent = await setup.client.call('BlobService', method, { digest: BLOB_A.digest.bytes })
      expect(absent).toEqual({
        answers: [],
        code: status.NOT_FOUND,
        details: `blob ${BLOB_A.digest} not found`,
      })
    }
  })

  it('02#28 stores nothing at all as the empty blob, and reads it as no message', async () => {
    await using setup = await serving({ blobs: new MemoryBlobService() }, generation)
    for (const messages of [[], [{ data: new Uint8Array(0) }], [{}, {}]]) {
      const { answers, code } = await setup.client.put('BlobService', messages)
      expect(code).toBe(status.OK)
      expect(sameBytes(answers[0]?.digest, B3Digest.EMPTY.bytes)).toBe(true)
    }
    const outcome = await setup.client.call('BlobService', 'Read', { digest: B3Digest.EMPTY.bytes })
    expect(outcome).toEqual({ answers: [], code: status.OK, details: '' })
    const stat = await setup.client.call('BlobService', 'Stat', { digest: B3Digest.EMPTY.bytes })
    expect(stat.answers).toHaveLength(1)
  })

  it.each([[1], [4096], [65_536], [1_000_000], [4_000_000]])(
    'stores and gives back, %d bytes a message',
    async (size) => {
      await using setup = await serving({ blobs: new MemoryBlobService() }, generation)
      for (const { content, digest } of size > 1 ? [HELLO, BLOB_B, LARGE] : [HELLO]) {
        const put = await setup.client.put('BlobService', pieces(content, size))
        expect(sameBytes(put.answers[0]?.digest, digest.bytes)).toBe(true)
        const read = await setup.client.call('BlobService', 'Read', { digest: digest.bytes })
        expect(read.code).toBe(status.OK)
        expect(sameBytes(joined(read), content)).toBe(true)
        for (const { data } of read.answers.slice(0, -1)) {
          expect(data!.length).toBeGreaterThanOrEqual(64 * 1024)
          expect(data!.length).toBeLessThanOrEqual(256 * 1024)
        }
      }
    },
  )
})

/** Memory that tells of chunks. */
class Listing extends MemoryBlobService {
  list = [BLOB_A, HELLO].map(({ digest, content }) => ({ digest, size: BigInt(content.length) }))
  asked = 0

  override async chunks(): ReturnType<BlobService['chunks']> {
    this.asked += 1
    return this.list
  }
}

describe('a server of blobs', () => {
  it('tells of chunks only who asks for them', async () => {
    const blobs = new Listing()
    await blobs.put(HELLO.content)
    await using setup = await serving({ blobs })
    const short = await setup.client.call('BlobService', 'Stat', { digest: HELLO.digest.bytes })
    expect(short.answers[0]?.chunks).toEqual([])
    expect(blobs.asked).toBe(0)
    const long = await setup.client.call('BlobService', 'Stat', {
      digest: HELLO.digest.bytes,
      send_chunks: true,
    })
    expect(long.answers[0]?.chunks?.map(({ size }) => size)).toEqual(['2', '12'])
    expect(sameBytes(long.answers[0]?.chunks?.[1]?.digest, HELLO.digest.bytes)).toBe(true)
  })

  it('tells long lists of chunks to whoever accepts them', async () => {
    const blobs = new Listing()
    await blobs.put(HELLO.content)
    const count = 150_000
    blobs.list = Array.from({ length: count }, () => ({ digest: BLOB_A.digest, size: 2n }))
    await using setup = await serving({ blobs })
    const request = { digest: HELLO.digest.bytes, send_chunks: true }
    // Some six million bytes: more than others accept, who then read the blob whole.
    const stat = await setup.client.call('BlobService', 'Stat', request)
    expect(stat).toMatchObject({ code: status.OK, answers: [{ chunks: [] }] })
    for (const [maxMessageSize, told] of [
      [undefined, count],
      [1024 * 1024, 0],
    ] as const) {
      await using channel = await openGrpcChannel(`grpc+http://${setup.address}`, { maxMessageSize })
      expect(await new GrpcBlobService(channel).chunks(HELLO.digest)).toHaveLength(told)
    }
  })

  it.each<[CastoreErrorCode, status]>([
    ['invalid-input', status.INVALID_ARGUMENT],
    ['invalid-request', status.INVALID_ARGUMENT],
    ['not-found', status.FAILED_PRECONDITION],
    ['data-loss', status.DATA_LOSS],
    ['storage', status.INTERNAL],
    ['closed', status.UNAVAILABLE],
    ['unsupported', status.UNIMPLEMENTED],
    ['unavailable', status.UNAVAILABLE],
    ['too-large', status.RESOURCE_EXHAUSTED],
    ['aborted', status.ABORTED],
  ])('tells a failure of its service as what it is: %s', async (code, expected) => {
    const failure =
      code === 'data-loss'
        ? new DataLossError(HELLO.digest, 'b', 'gone \ud800')
        : new CastoreError(code, 'gone')
    const reported: string[] = []
    const blobs = new Proxy(new MemoryBlobService(), {
      get: () => () => {
        throw failure
      },
    })
    await using setup = await serving({ blobs, onError: (method) => reported.push(method) })
    const request = { digest: HELLO.digest.bytes, send_chunks: true }
    for (const outcome of [
      await setup.client.call('BlobService', 'Stat', request),
      await setup.client.call('BlobService', 'Read', request),
      await setup.client.put('BlobService', [{ data: HELLO.content }]),
      await setup.client.put('BlobService', pieces(LARGE.content, 1_000_000)),
    ]) {
      expect(outcome).toMatchObject({ answers: [], code: expected, details: expect.stringContaining('gone') })
    }
    expect(reported).toHaveLength(failure.kind === 'StorageError' ? 4 : 0)
  })

  it('says nothing of errors that nobody foresaw, but reports them', async () => {
    const reported: unknown[] = []
    const failure = new Error('secret')
    const blobs = new Proxy(new MemoryBlobService(), { get: () => () => Promise.reject(failure) })
    await using setup = await serving({ blobs, onError: (...args) => reported.push(args) })
    const outcome = await setup.client.call('BlobService', 'Stat', { digest: HELLO.digest.bytes })
    expect(outcome).toEqual({ answers: [], code: status.INTERNAL, details: 'internal error' })
    expect(reported).toEqual([['BlobService/Stat', failure]])
  })

  it('goes on when a client sends on after a failure', async () => {
    const blobs = new Proxy(new MemoryBlobService(), {
      get: (target, name) =>
        name === 'openWrite'
          ? () => {
              throw new CastoreError('unavailable', 'no space')
            }
          : Reflect.get(target, name).bind(target),
    })
    await using setup = await serving({ blobs })
    const big = pieces(new Uint8Array(64 * 1024 * 1024), 1_000_000)
    const outcome = await setup.client.put('BlobService', big)
    expect(outcome).toMatchObject({ code: status.UNAVAILABLE, details: 'no space' })
    expect((await setup.client.put('BlobService', [{ data: HELLO.content }])).code).toBe(status.OK)
  })

  it('refuses messages over the limit, and takes those below', async () => {
    const limits = { maxMessageSize: 1024 * 1024 }
    await using setup = await serving({ blobs: new MemoryBlobService(), limits })
    const outcome = await setup.client.put('BlobService', [{ data: new Uint8Array(1024 * 1024 + 1) }])
    expect(outcome.code).toBe(status.RESOURCE_EXHAUSTED)
    expect((await setup.client.put('BlobService', [{ data: new Uint8Array(1024 * 1024 - 10) }])).code).toBe(
      status.OK,
    )
  })

  it('offers only the services that it was given', async () => {
    await using setup = await serving({ blobs: new MemoryBlobService() })
    const outcome = await setup.client.call('DirectoryService', 'Get', { digest: A.digest().bytes })
    expect(outcome.code).toBe(status.UNIMPLEMENTED)
  })
})

describe.each(GENERATIONS)('a server of directories, with a client of another make: %s', (generation) => {
  const messages = (setup: { client: PeerClient }, directories: readonly Directory[]) =>
    directories.map((directory) => decoded(setup.client.services, directory.encode()))

  it('answers for what cannot be asked, and for what is absent', async () => {
    await using setup = await serving({ directories: new MemoryDirectoryService() }, generation)
    for (const recursive of [false, true]) {
      const get = (request: Message) =>
        setup.client.call('DirectoryService', 'Get', { ...request, recursive })
      expect(await get({})).toMatchObject({ code: status.INVALID_ARGUMENT, details: 'invalid by_what' })
      for (const length of [0, 31, 33]) {
        const outcome = await get({ digest: new Uint8Array(length) })
        expect(outcome).toMatchObject({ code: status.INVALID_ARGUMENT, details: 'invalid digest length' })
      }
      const absent = await get({ digest: B.digest().bytes })
      expect(absent).toEqual(
        recursive
          ? { answers: [], code: status.OK, details: '' }
          : { answers: [], code: status.NOT_FOUND, details: `directory ${B.digest()} not found` },
      )
    }
  })

  it('03#35 03#38 stores and gives back', async () => {
    await using setup = await serving({ directories: new MemoryDirectoryService() }, generation)
    const put = await setup.client.put('DirectoryService', messages(setup, [WITH_KEEP, COMPLICATED]))
    expect(sameBytes(put.answers[0]?.root_digest, COMPLICATED.digest().bytes)).toBe(true)
    const get = await setup.client.call('DirectoryService', 'Get', {
      digest: COMPLICATED.digest().bytes,
      recursive: true,
    })
    expect(get.answers).toEqual(messages(setup, [COMPLICATED, WITH_KEEP]))
    const one = await setup.client.call('DirectoryService', 'Get', { digest: COMPLICATED.digest().bytes })
    expect(one.answers).toEqual(messages(setup, [COMPLICATED]))
  })

  it.each<[string, readonly Directory[], string]>([
    ['03#36 03#37 a dangling reference', [B], 'unknown directory was referenced'],
    ['03#39 parents first', [B, A], 'unknown directory was referenced'],
    ['03#6 two roots', [A, C, B], 'graph has disconnected roots'],
    ['03#8 a wrong size', [A, BROKEN_PARENT], "'foo' has wrong size, specified 42, recorded 0"],
    ['nothing', [], 'got no directories'],
  ])('refuses %s, and stores nothing of it', async (_name, directories, details) => {
    const service = new MemoryDirectoryService()
    await using setup = await serving({ directories: service }, generation)
    const outcome = await setup.client.put('DirectoryService', messages(setup, directories))
    expect(outcome).toMatchObject({
      code: status.INVALID_ARGUMENT,
      details: expect.stringContaining(details),
    })
    for (const directory of directories) expect(await service.get(directory.digest())).toBeUndefined()
  })

  it('refuses messages that are no directory', async () => {
    await using setup = await serving({ directories: new MemoryDirectoryService() }, generation)
    const file = (name: string) => ({ name: Buffer.from(name), digest: B3Digest.EMPTY.bytes })
    for (const [files, details] of [
      [[file('b'), file('a')], 'is not sorted'],
      [[file('a'), file('a')], 'is a duplicate name'],
      [[file('a/b')], 'invalid name'],
      [[{ ...file('a'), digest: new Uint8Array(3) }], 'invalid node'],
    ] as const) {
      const outcome = await setup.client.put('DirectoryService', [{ files } as Message])
      expect(outcome).toMatchObject({
        code: status.INVALID_ARGUMENT,
        details: expect.stringContaining(details),
      })
    }
  })
})

describe('a server of directories', () => {
  it('fails half way with what went wrong, after what is there', async () => {
    const directories = new MemoryDirectoryService()
    await upload(directories, A, B, D)
    const get = directories.get.bind(directories)
    directories.get = async (digest, options) =>
      digest.equals(B.digest()) ? undefined : get(digest, options)
    await using setup = await serving({ directories })
    const outcome = await setup.client.call('DirectoryService', 'Get', {
      digest: D.digest().bytes,
      recursive: true,
    })
    expect(outcome.code).toBe(status.DATA_LOSS)
    expect(outcome.details).toContain(`${B.digest()}`)
    expect(outcome.answers.length).toBeGreaterThan(0)
  })

  it.each([
    [{ maxUploadDirectories: 2 }, 'more than 2 directories'],
    [{ maxUploadSize: 100 }, 'directories of more than 100 bytes'],
  ])('refuses an upload over the limit: %s', async (limits, details) => {
    await using setup = await serving({ directories: new MemoryDirectoryService(), limits })
    const sent = [A, B, D].map((directory) => decoded(setup.client.services, directory.encode()))
    const outcome = await setup.client.put('DirectoryService', sent)
    expect(outcome).toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
      details: expect.stringContaining(details),
    })
  })
})
