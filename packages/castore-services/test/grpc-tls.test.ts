import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { MemoryBlobService } from '@neve/castore-services/blob/memory'
import { GrpcBlobService, type GrpcChannelOptions, openGrpcChannel } from '@neve/castore-services/grpc'
import { castoreServer, type GrpcServerTls } from '@neve/castore-services/grpc/server'
import { describe, expect, it } from 'vitest'
import { HELLO } from '../src/contract/blob-fixtures.js'
import { temporaryFolder } from './embedded-fixture.js'

const folder = temporaryFolder()
const file = (name: string): string => join(folder, name)
const pem = (name: string): Buffer => readFileSync(file(name))

function openssl(...args: readonly string[]): void {
  execFileSync('openssl', args, { stdio: 'pipe' })
}

function authority(name: string): void {
  const key = [
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-keyout',
    file(`${name}.key`),
  ]
  openssl('req', '-x509', ...key, '-out', file(`${name}.pem`), '-days', '2', '-subj', `/CN=${name}`)
}

/** A certificate that `ca` signs, for a host. */
function certificate(name: string, ca: string, host: string, days = 2): void {
  const key = [
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-keyout',
    file(`${name}.key`),
  ]
  const names = ['-addext', `subjectAltName=${host}`, '-subj', `/CN=${name}`]
  openssl('req', ...key, ...names, '-out', file(`${name}.csr`))
  const signer = ['-CA', file(`${ca}.pem`), '-CAkey', file(`${ca}.key`), '-CAcreateserial']
  const request = ['-req', '-in', file(`${name}.csr`), '-copy_extensions', 'copyall']
  openssl('x509', ...request, ...signer, '-days', String(days), '-out', file(`${name}.pem`))
}

authority('ours')
authority('theirs')
certificate('server', 'ours', 'DNS:localhost,IP:127.0.0.1')
certificate('elsewhere', 'ours', 'DNS:elsewhere.example')
certificate('expired', 'ours', 'DNS:localhost', -1)
certificate('client', 'ours', 'DNS:client.example')
certificate('stranger', 'theirs', 'DNS:client.example')

/** A server with a blob, on a port of its own. */
async function serving(name: string, tls: Partial<GrpcServerTls> = {}) {
  const blobs = new MemoryBlobService()
  await blobs.put(HELLO.content)
  const server = castoreServer({ blobs, tls: { cert: pem(`${name}.pem`), key: pem(`${name}.key`), ...tls } })
  const { url } = await server.listen('127.0.0.1:0')
  return { url, port: url.split(':').at(-1), [Symbol.asyncDispose]: () => server.close({ grace: 0 }) }
}

async function reads(url: string, options?: GrpcChannelOptions): Promise<boolean> {
  await using channel = await openGrpcChannel(url, options)
  return await new GrpcBlobService(channel).has(HELLO.digest)
}

describe('TLS', () => {
  it('is spoken with a server that the given authority signed, by name and by address', async () => {
    await using server = await serving('server')
    expect(server.url).toBe(`grpc+https://127.0.0.1:${server.port}`)
    expect(await reads(`${server.url}?tls-ca-cert-path=${file('ours.pem')}`)).toBe(true)
    expect(await reads(`grpc+https://localhost:${server.port}`, { tls: { ca: pem('ours.pem') } })).toBe(true)
  })

  it.each([
    ['another authority signed it', 'server', 'theirs.pem', 'certificate'],
    ['it is for another name', 'elsewhere', 'ours.pem', 'altnames'],
    ['it is too old', 'expired', 'ours.pem', 'certificate has expired'],
  ])('is refused when %s', async (_why, name, ca, message) => {
    await using server = await serving(name)
    const url = `grpc+https://localhost:${server.port}`
    for (const waitConnect of [true, false]) {
      const reading = reads(url, { tls: { ca: pem(ca) }, waitConnect })
      await expect(reading).rejects.toMatchObject({ code: 'unavailable' })
      await expect(reading).rejects.toThrow(message)
    }
  })

  it('compares the name that was given with the certificate', async () => {
    await using server = await serving('elsewhere')
    const options = { tls: { ca: pem('ours.pem') }, authority: 'elsewhere.example' }
    expect(await reads(server.url, options)).toBe(true)
    await expect(reads(server.url, { ...options, authority: 'other.example' })).rejects.toThrow('altnames')
  })

  it('is not believed without an authority', async () => {
    await using server = await serving('server')
    await expect(reads(server.url)).rejects.toMatchObject({ code: 'unavailable' })
  })

  it('fails, and does not hang, when one side speaks plain text', async () => {
    await using server = await serving('server')
    await expect(reads(`grpc+http://127.0.0.1:${server.port}`)).rejects.toMatchObject({ code: 'unavailable' })
    const plain = castoreServer({ blobs: new MemoryBlobService() })
    const { url } = await plain.listen('127.0.0.1:0')
    const reading = reads(url.replace('http', 'https'), { tls: { ca: pem('ours.pem') } })
    await expect(reading).rejects.toMatchObject({ code: 'unavailable' })
    await plain.close({ grace: 0 })
  })

  it.each([
    ['no PEM', { ca: Buffer.from('nonsense') }],
    ['a key that is not of the certificate', { cert: 'client.pem', key: 'server.key' }],
    ['a certificate without a key', { cert: 'client.pem', key: 'client.pem' }],
  ])('is refused at once with %s', async (_what, given) => {
    const tls = Object.fromEntries(
      Object.entries(given).map(([key, value]) => [key, typeof value === 'string' ? pem(value) : value]),
    )
    await expect(openGrpcChannel('grpc+https://localhost', { tls })).rejects.toMatchObject({
      code: 'invalid-input',
      message: expect.stringContaining('unusable certificates or key'),
    })
  })

  it('is refused at once with a file that does not end', async () => {
    await expect(openGrpcChannel('grpc+https://localhost?tls-ca-cert-path=/dev/zero')).rejects.toMatchObject({
      code: 'invalid-input',
      message: expect.stringContaining('longer than 1048576 bytes'),
    })
  })

  it('is refused at once with certificates for a URL in plain text', async () => {
    const opening = openGrpcChannel('grpc+http://localhost', { tls: { ca: pem('ours.pem') } })
    await expect(opening).rejects.toThrow('TLS options are for grpc+https: only')
  })
})

describe('mutual TLS', () => {
  const clientCa = pem('ours.pem')

  it('lets in who shows a certificate of the authority', async () => {
    await using server = await serving('server', { clientCa })
    const options = [
      `tls-ca-cert-path=${file('ours.pem')}`,
      `tls-client-cert-path=${file('client.pem')}`,
      `tls-client-key-path=${file('client.key')}`,
    ]
    expect(await reads(`${server.url}?${options.join('&')}`)).toBe(true)
  })

  it.each([
    ['shows none', {}],
    ['shows one of another authority', { cert: pem('stranger.pem'), key: pem('stranger.key') }],
  ])('does not let in who %s', async (_who, shown) => {
    await using server = await serving('server', { clientCa })
    const reading = reads(server.url, { tls: { ca: pem('ours.pem'), ...shown } })
    await expect(reading).rejects.toMatchObject({ code: 'unavailable' })
  })

  it('is not served with a key that is not of the certificate', async () => {
    const serve = serving('server', { key: pem('client.key') })
    await expect(serve).rejects.toMatchObject({ code: 'invalid-input' })
  })
})
