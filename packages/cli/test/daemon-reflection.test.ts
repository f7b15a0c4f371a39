import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { grpcurl, grpcurlStream, missingGrpcurl } from './grpcurl.js'
import { at, type Daemon, startDaemon } from './servers.js'
import { neve, requireReal, temporaryFolder } from './support.js'

const SERVICES = [
  'grpc.health.v1.Health',
  'grpc.reflection.v1.ServerReflection',
  'grpc.reflection.v1alpha.ServerReflection',
  'neve.castore.v1.BlobBatchService',
  'snix.castore.v1.BlobService',
  'snix.castore.v1.BlobStoreService',
  'snix.castore.v1.ChunkStoreService',
  'snix.castore.v1.DirectoryService',
  'snix.store.v1.PathInfoService',
  'tvix.castore.v1.BlobService',
  'tvix.castore.v1.DirectoryService',
  'tvix.store.v1.PathInfoService',
]
/** Where the .proto files of all packages are. */
const FOLDERS = [
  ['@neve/castore-model/protos/snix/castore/protos/castore.proto', '../../../..'],
  ['@neve/store-pathinfo/protos/snix/store/protos/pathinfo.proto', '../../../..'],
  ['@neve/castore-services/protos/grpc/health/v1/health.proto', '../../../..'],
].map(([file, up]) => join(fileURLToPath(import.meta.resolve(file!)), up!))

async function serving(...args: string[]): Promise<Daemon & { readonly address: string }> {
  const store = join(temporaryFolder(), 'store')
  const daemon = await startDaemon(['-l', '127.0.0.1:0', '--store', store, ...args], {}, 'daemon')
  return { ...daemon, address: new URL(daemon.urls[0]!).host }
}

describe('grpcurl and neve daemon', () => {
  test('08#6 lists the services', async (context) => {
    requireReal(context, missingGrpcurl)
    const { address } = await serving()
    expect((await grpcurl('-plaintext', address, 'list')).trim().split('\n')).toEqual(SERVICES)
    const methods = await grpcurl('-plaintext', address, 'list', 'tvix.store.v1.PathInfoService')
    expect(
      methods
        .trim()
        .split('\n')
        .map((name) => name.split('.').at(-1)),
    ).toEqual(['CalculateNAR', 'Get', 'List', 'Put'])
    const described = await grpcurl('-plaintext', address, 'describe', 'snix.castore.v1.Entry')
    expect(described).toContain('.snix.castore.v1.FileEntry file = 2;')
    const unknown = grpcurl('-plaintext', address, 'describe', 'snix.castore.v1.Nothing')
    await expect(unknown).rejects.toMatchObject({ stderr: expect.stringContaining('Symbol not found') })
  })

  test.each(SERVICES)('what it tells of %s is what the .proto file says', async (service, context) => {
    requireReal(context as never, missingGrpcurl)
    const { address } = await serving()
    const [served, written] = [join(temporaryFolder(), 'served'), join(temporaryFolder(), 'written')]
    await grpcurl('-plaintext', '-proto-out-dir', served, address, 'describe', service)
    const files = FOLDERS.flatMap((folder) => protoFiles(folder))
    const sources = [
      ...FOLDERS.flatMap((folder) => ['-import-path', folder]),
      ...files.flatMap((file) => ['-proto', file]),
    ]
    await grpcurl(...sources, '-proto-out-dir', written, 'describe', service)
    const names = protoFiles(served)
    expect(names).toEqual(protoFiles(written))
    expect(names.length).toBeGreaterThan(0)
    for (const name of names) expect(definitions(served, name)).toEqual(definitions(written, name))
  })

  test('08#3.1 calls Put, Read and Get of what it found there', async (context) => {
    requireReal(context, missingGrpcurl)
    const { address } = await serving()
    const call = (data: object, method: string) =>
      grpcurl('-plaintext', '-d', JSON.stringify(data), address, method).then((text) => JSON.parse(text))
    const digest = 'KOM3/IHEx7YfInAnlJpAElYezq0Sxn9fRz7xuClwNfA='
    const data = 'eDg2XzY0LWxpbnV4'
    expect(await call({ data }, 'tvix.castore.v1.BlobService/Put')).toEqual({ digest })
    expect(await call({ digest }, 'snix.castore.v1.BlobService/Read')).toEqual({ data })
    const hash = Buffer.alloc(20).toString('base64')
    await expect(call({ by_output_hash: hash }, 'snix.store.v1.PathInfoService/Get')).rejects.toMatchObject({
      stderr: expect.stringContaining('Code: NotFound'),
    })
  })
})

describe('health of neve daemon', () => {
  test('08#6 is SERVING, and NOT_SERVING while the store behind it is away', async (context) => {
    requireReal(context, missingGrpcurl)
    const folder = temporaryFolder()
    const behind = join(folder, 'behind.sock')
    const start = () => startDaemon(['-l', behind, '--store', join(folder, 'store')], {}, 'daemon')
    let backend = await start()
    const address = `grpc+unix:${behind}`
    const daemon = await startDaemon(
      ['-l', '127.0.0.1:0', ...at(address), '--path-info-service-addr', address],
      {},
      'daemon',
    )
    const { host } = new URL(daemon.urls[0]!)
    const check = (service: string) =>
      grpcurl('-plaintext', '-d', JSON.stringify({ service }), host, 'grpc.health.v1.Health/Check').then(
        (text) => JSON.parse(text).status,
      )
    const watcher = grpcurlStream('-plaintext', host, 'grpc.health.v1.Health/Watch')
    let told = ''
    watcher.stdout!.on('data', (text) => (told += text))
    const statuses = () => [...told.matchAll(/"status": "(\w+)"/g)].map(([, status]) => status)
    const count = async (wanted: number) => {
      while (statuses().length < wanted) await once(watcher.stdout!, 'data')
    }
    await count(1)
    expect(await check('')).toBe('SERVING')
    expect(await backend.stop()).toBe(0)
    await count(2)
    expect([await check(''), await check('snix.store.v1.PathInfoService')]).toEqual([
      'NOT_SERVING',
      'NOT_SERVING',
    ])
    expect(await check('grpc.reflection.v1.ServerReflection')).toBe('SERVING')
    expect(daemon.stderr()).toMatch(/^neve: error: the backend does not answer backend=blobs error=/m)
    backend = await start()
    await count(3)
    expect(await check('snix.castore.v1.BlobService')).toBe('SERVING')
    expect(statuses()).toEqual(['SERVING', 'NOT_SERVING', 'SERVING'])
    await expect(check('no.such.Service')).rejects.toMatchObject({
      stderr: expect.stringContaining('Code: NotFound'),
    })
    // Who watches does not hold it up: it is told, and let go.
    expect(await daemon.stop()).toBe(0)
    await count(4)
    expect(statuses().at(-1)).toBe('NOT_SERVING')
  })

  test('a store that cannot be opened is told before anything listens', async () => {
    const { code, stderr } = await neve(['daemon', '--store', '/dev/null/store'])
    expect(code).toBe(1)
    expect(stderr).not.toContain('serving')
  })
})

/** The .proto files below a folder, by their names. */
function protoFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.proto'))
    .sort()
}

/** What a .proto file defines, without comments, and in an order that says nothing. */
function definitions(folder: string, name: string): unknown[] {
  const lines = readFileSync(join(folder, name), 'utf8')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('//'))
  return inOrder(lines)
}

/** Takes the lines of one block away from the front; blocks in it become lists. */
function inOrder(lines: string[]): unknown[] {
  const all: [string, ...unknown[]][] = []
  for (let line = lines.shift(); line !== undefined && line !== '}'; line = lines.shift()) {
    all.push(line.endsWith('{') ? [line, ...inOrder(lines)] : [line])
  }
  return all.sort(([one], [other]) => (one < other ? -1 : 1))
}
