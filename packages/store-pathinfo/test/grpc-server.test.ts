import * as grpc from '@grpc/grpc-js'
import { DirectoryBuilder, PathComponent, SymlinkTarget } from '@neve/castore-model'
import { CastoreError } from '@neve/castore-services'
import { MemoryPathInfoService, type PathInfo, StoreError } from '@neve/store-pathinfo'
import { randomPathInfo } from '@neve/store-pathinfo/contract'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  type Generation,
  type GrpcPair,
  grpcPair,
  strangerCall,
  strangersPathInfoService,
} from './grpc-fixture.js'
import { DUMMY, NAR_SYMLINK, ZEROS } from './path-info-messages.js'
import { hex, memoryServices, toHex } from './support.js'

interface Answer {
  readonly nar_size?: string
  readonly nar_sha256?: Uint8Array
  readonly references?: readonly Uint8Array[]
  readonly narinfo?: {
    readonly nar_size: string
    readonly nar_sha256: Uint8Array
    readonly reference_names: string[]
  }
}

const contents = memoryServices()
const target = new TextEncoder().encode('/nix/store/somewhereelse')
const symlink = (name: Uint8Array | string) => ({ symlink: { name: Buffer.from(name), target } })
let pathInfos: MemoryPathInfoService
let pair: GrpcPair
let errors: unknown[]

beforeEach(async () => {
  pathInfos = new MemoryPathInfoService()
  errors = []
  const onError = (_method: string, error: unknown) => errors.push(error)
  pair = await grpcPair(pathInfos, { contents, onError }, { address: '127.0.0.1:0' })
})
afterEach(() => pair.close())

describe.each<[Generation, string]>([
  ['snix', 'entry'],
  ['tvix', 'node'],
])('a stranger of %s', (generation, node) => {
  let client: grpc.Client
  beforeEach(() => {
    const Client = strangersPathInfoService(generation)
    client = new Client(pair.url.replace('grpc+http://', ''), grpc.credentials.createInsecure())
  })
  afterEach(() => client.close())
  const call = <T = Answer>(method: string, request: object) => strangerCall<T>(client, method, request)
  const code = (method: string, request: object) =>
    call(method, request).then(
      () => 'OK',
      (error: grpc.ServiceError) => grpc.status[error.code],
    )
  const narinfo = { nar_size: 136, nar_sha256: NAR_SYMLINK }
  const message = { [node]: symlink(DUMMY.toString()), references: [], narinfo }

  it('07#25 gets NOT_FOUND for what is not there, and what it put', async () => {
    expect(await code('Get', { by_output_hash: ZEROS(20) })).toBe('NOT_FOUND')
    await call('Put', message)
    const got = await call('Get', { by_output_hash: ZEROS(20) })
    expect(got.narinfo).toMatchObject({ nar_size: '136' })
    expect((await pathInfos.get(ZEROS(20)))?.narSize).toBe(136n)
  })

  it('lists everything', async () => {
    for (let i = 1; i <= 10; i++) await pathInfos.put(randomPathInfo(i))
    const List = (client as unknown as { List(request: object): AsyncIterable<Answer> }).List.bind(client)
    const seen: string[] = []
    for await (const { narinfo } of List({})) seen.push(narinfo!.nar_size)
    expect(seen.sort()).toEqual(Array.from({ length: 10 }, (_, i) => `${(i + 1) ** 4}`).sort())
  })

  it('has a NAR measured, whatever the name of the node', async () => {
    for (const name of ['', DUMMY.toString()]) {
      const measure = await call('CalculateNAR', symlink(name))
      expect(measure.nar_size).toBe('136')
      expect(toHex(measure.nar_sha256!)).toBe(toHex(NAR_SYMLINK))
    }
  })

  it('a path info without narinfo is measured', async () => {
    await call('Put', { [node]: symlink(DUMMY.toString()) })
    const stored = await pathInfos.get(ZEROS(20))
    expect(stored?.narSize).toBe(136n)
    expect(toHex(stored!.narSha256)).toBe(toHex(NAR_SYMLINK))
  })

  it('a path info without narinfo gets the names of stored references', async () => {
    const known = await pathInfos.put(randomPathInfo(6))
    await call('Put', { [node]: symlink(DUMMY.toString()), references: [known.storePath.digest] })
    expect((await pathInfos.get(ZEROS(20)))?.references.map(String)).toEqual([known.storePath.toString()])
    const unknown = {
      [node]: symlink(randomPathInfo(8).storePath.toString()),
      references: [ZEROS(20).fill(9)],
    }
    expect(await code('Put', unknown)).toBe('FAILED_PRECONDITION')
  })

  const file = { name: Buffer.from(DUMMY.toString()), digest: ZEROS(32), size: 5 }
  const rows: [string, string, object, string][] = [
    ['Get of nothing', 'Get', {}, 'UNIMPLEMENTED'],
    ['Get of 19 bytes', 'Get', { by_output_hash: ZEROS(19) }, 'INVALID_ARGUMENT'],
    ['Get of 0 bytes', 'Get', { by_output_hash: ZEROS(0) }, 'INVALID_ARGUMENT'],
    ['Put of nothing', 'Put', {}, 'INVALID_ARGUMENT'],
    ['Put without node', 'Put', { narinfo }, 'INVALID_ARGUMENT'],
    ['Put with a bad reference', 'Put', { ...message, references: [hex('ffff')] }, 'INVALID_ARGUMENT'],
    ['Put with a bad hash', 'Put', { ...message, narinfo: { nar_sha256: hex('beef') } }, 'INVALID_ARGUMENT'],
    ['Put of a file that is not stored', 'Put', { [node]: { file }, narinfo }, 'FAILED_PRECONDITION'],
    [
      'Put of a directory that is not stored',
      'Put',
      { [node]: { directory: file }, narinfo },
      'FAILED_PRECONDITION',
    ],
    ['Put without narinfo of what is not stored', 'Put', { [node]: { file } }, 'FAILED_PRECONDITION'],
    ['CalculateNAR of no kind', 'CalculateNAR', {}, 'INVALID_ARGUMENT'],
    [
      'CalculateNAR of 31 bytes',
      'CalculateNAR',
      { file: { ...file, digest: ZEROS(31) } },
      'INVALID_ARGUMENT',
    ],
    ['CalculateNAR of no target', 'CalculateNAR', { symlink: {} }, 'INVALID_ARGUMENT'],
    ['CalculateNAR of an absent file', 'CalculateNAR', { file }, 'NOT_FOUND'],
    ['CalculateNAR of an absent directory', 'CalculateNAR', { directory: file }, 'NOT_FOUND'],
  ]
  it.each(rows)('07 section 7: %s', async (_name, method, request, expected) => {
    expect(await code(method, request)).toBe(expected)
    expect(await pathInfos.has(ZEROS(20))).toBe(false)
    expect(errors).toEqual([])
  })

  it('other contents: ALREADY_EXISTS', async () => {
    await call('Put', message)
    const other = { ...message, narinfo: { nar_size: 1, nar_sha256: ZEROS(32) } }
    expect(await code('Put', other)).toBe('ALREADY_EXISTS')
  })

  it('a file whose size is wrong cannot be measured: INTERNAL', async () => {
    const digest = await contents.blobs.put(new TextEncoder().encode('Hello World!'))
    const wrong = { file: { digest: digest.bytes, size: 42 } }
    expect(await code('CalculateNAR', wrong)).toBe('INTERNAL')
    expect(errors).toHaveLength(1)
  })

  it('a directory below which one is missing: not measured', async () => {
    const inner = new DirectoryBuilder().add(PathComponent.from('x'), {
      kind: 'symlink',
      target: SymlinkTarget.from('y'),
    })
    const missing = inner.build()
    const outer = new DirectoryBuilder().add(PathComponent.from('d'), missing.toNode())
    const root = outer.build()
    await contents.directories.put(root)
    const answer = await code('CalculateNAR', { directory: { digest: root.digest().bytes, size: root.size } })
    expect(['NOT_FOUND', 'DATA_LOSS']).toContain(answer)
  })
})

describe('a backend that fails', () => {
  it.each([
    [new StoreError('data-loss', 'damaged'), 'DATA_LOSS', 'INTERNAL'],
    [new CastoreError('unavailable', 'away'), 'UNAVAILABLE', 'UNAVAILABLE'],
    [new Error('a path of this machine'), 'INTERNAL', 'INTERNAL'],
  ])('%s: Get %s, List %s', async (failure, get, list) => {
    const failing = new MemoryPathInfoService()
    failing.get = async () => {
      throw failure
    }
    failing.list = async function* () {
      yield* [] as PathInfo[]
      throw failure
    }
    await using own = await grpcPair(failing, {}, { address: '127.0.0.1:0' })
    const Client = strangersPathInfoService('snix')
    const client = new Client(own.url.replace('grpc+http://', ''), grpc.credentials.createInsecure())
    try {
      const error = await strangerCall(client, 'Get', { by_output_hash: ZEROS(20) }).catch((e: unknown) => e)
      expect(grpc.status[(error as grpc.ServiceError).code]).toBe(get)
      expect((error as grpc.ServiceError).details).not.toContain('machine')
      const stream = (client as unknown as { List(request: object): AsyncIterable<unknown> }).List({})
      const ending = (async () => {
        for await (const _info of stream);
      })()
      expect(grpc.status[(await ending.catch((e: grpc.ServiceError) => e.code)) ?? 0]).toBe(list)
    } finally {
      client.close()
    }
  })

  it('List can be switched off, and CalculateNAR is not there without contents', async () => {
    await using own = await grpcPair(new MemoryPathInfoService(), { list: false }, { address: '127.0.0.1:0' })
    const Client = strangersPathInfoService('snix')
    const client = new Client(own.url.replace('grpc+http://', ''), grpc.credentials.createInsecure())
    const stream = (client as unknown as { List(request: object): AsyncIterable<unknown> }).List({})
    const ending = (async () => {
      for await (const _info of stream);
    })()
    expect(await ending.catch((e: grpc.ServiceError) => e.code)).toBe(grpc.status.PERMISSION_DENIED)
    const error = await strangerCall(client, 'CalculateNAR', symlink('')).catch((e: unknown) => e)
    expect((error as grpc.ServiceError).code).toBe(grpc.status.UNIMPLEMENTED)
    client.close()
  })
})
