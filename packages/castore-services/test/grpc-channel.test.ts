import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openGrpcChannel, parseGrpcUrl } from '@neve/castore-services/grpc'
import { createServer } from 'nice-grpc'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'neve-grpc-'))
})
afterEach(() => rm(folder, { recursive: true }))

describe('openGrpcChannel', () => {
  it.each([
    'grpc+unix:///path/to/somewhere',
    'grpc+unix:/path/to/somewhere',
    'grpc+unix:///path/to/somewhere?wait-connect=0',
    'grpc+http://[::1]:12345',
    'grpc+http://localhost',
    'grpc+https://localhost',
    'grpc+http://localhost/',
    'grpc+http://localhost?wait-connect=0',
    'grpc+http://nonexist.invalid',
  ])('02#14 02#15 02#19 03#28 03#29 03#31 03#32 03#33 takes %s, and contacts nobody', async (url) => {
    await using channel = await openGrpcChannel(url)
    expect(channel.name).toBe(
      url
        .replace(/\?.*/, '')
        .replace('unix:///', 'unix:/')
        .replace(/localhost\/$/, 'localhost'),
    )
  })

  it.each([
    ['http://foo.example/test', 'path may not be set'],
    ['http://foo.example', 'grpc+ prefix is missing from URL'],
    ['memory', 'unable to parse'],
    ['', 'unable to parse'],
    ['grpc+unix://host.example/path/to/somewhere', 'host may not be set for unix domain sockets'],
    ['grpc+unix:', 'expected the absolute path of a socket'],
    ['grpc+unix:///', 'expected the absolute path of a socket'],
    ['grpc+unix:relative', 'expected the absolute path of a socket'],
    ['grpc+unix:/bad%ff', 'not percent-encoded UTF-8'],
    ['grpc+unix:/nul%00', 'line break or a NUL'],
    [`grpc+unix:/${'x'.repeat(107)}`, '108 bytes, expected at most 107'],
    ['grpc+http://localhost/some-path', 'path may not be set'],
    ['grpc+https://localhost/some-path', 'path may not be set'],
    ['grpc+http://', 'host is missing'],
    ['grpc+http://localhost:0', 'expected a port from 1 to 65535'],
    ['grpc+http://localhost:65536', 'unable to parse'],
    ['grpc+http://exa%20mple', 'unable to parse'],
    ['grpc+http://user:secret@localhost', 'user and password may not be set'],
    ['grpc+http://localhost#fragment', 'fragment may not be set'],
    ['grpc+quic://localhost', "unknown scheme 'grpc+quic:'"],
    ['grpc+http://localhost?wait-connect=yes', "'wait-connect' is 'yes', expected 0 or 1"],
    ['grpc+http://localhost?wait-connect=1&wait-connect=0', "'wait-connect' is there twice"],
    ['grpc+http://localhost?waitconnect=1', "unknown option 'waitconnect'"],
    ['grpc+http://localhost?tls-ca-cert-path=/ca.pem', "'tls-ca-cert-path' is for grpc+https: only"],
    ['grpc+https://localhost?tls-client-cert-path=/c.pem', 'go together'],
    ['grpc+https://localhost?tls-client-key-path=/k.pem', 'go together'],
    ['grpc+https://localhost?tls-ca-cert-path=', "'tls-ca-cert-path' has no value"],
    ['grpc+https://localhost?tls-ca-cert-path=/does/not/exist', 'unable to read tls-ca-cert-path: ENOENT'],
  ])('02#14 02#15 02#19 03#24 03#28 03#29 03#32 refuses %s', async (url, message) => {
    const opening = openGrpcChannel(url)
    await expect(opening).rejects.toMatchObject({ code: 'invalid-input' })
    await expect(opening).rejects.toThrow(message)
    await expect(opening).rejects.not.toThrow('secret')
  })

  it.each([
    ['grpc+unix:///run/castore.sock', '/run/castore.sock'],
    ['grpc+unix:////run/castore.sock', '/run/castore.sock'],
    ['grpc+unix:/with%20blank', '/with blank'],
    ['grpc+unix:/with blank', '/with blank'],
    ['grpc+unix:/caf%C3%A9:80', '/café:80'],
    ['grpc+http://localhost', 'localhost', 80],
    ['grpc+http://localhost:8000', 'localhost', 8000],
    ['grpc+https://Example.org', 'example.org', 443],
    ['grpc+https://[2001:DB8::1]:1', '2001:db8::1', 1],
  ])('dials what %s says', (url, where, port?: number) => {
    expect(parseGrpcUrl(url).endpoint).toEqual(
      port === undefined ? { kind: 'unix', path: where } : { kind: 'tcp', host: where, port },
    )
  })

  it('02#15 03#31 fails at once when it is to wait and nobody is there', async () => {
    const opening = openGrpcChannel(`grpc+unix://${folder}/socket?wait-connect=1`)
    await expect(opening).rejects.toMatchObject({ code: 'unavailable' })
    await expect(opening).rejects.toThrow('ENOENT')
  })

  it('02#15 03#33 fails when it is to wait and the host has no address', async () => {
    const opening = openGrpcChannel('grpc+http://nonexist.invalid?wait-connect=1')
    await expect(opening).rejects.toMatchObject({ code: 'unavailable' })
    await expect(opening).rejects.toThrow('nonexist.invalid')
  })

  it('waits for a server that is there', async () => {
    const server = createServer()
    const path = join(folder, 'a socket')
    await server.listen(`unix:${path}`)
    await using channel = await openGrpcChannel(`grpc+unix:${encodeURI(path)}?wait-connect=1`)
    await channel.connect()
    await channel.close()
    await expect(channel.connect()).rejects.toMatchObject({ code: 'closed' })
    await server.shutdown()
  })

  it('stops waiting when the signal fires', async () => {
    const reason = new Error('not wanted any more')
    const url = 'grpc+http://nonexist.invalid?wait-connect=1'
    await expect(openGrpcChannel(url, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
  })
})
