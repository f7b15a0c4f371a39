import { CastoreError } from '@neve/castore-services'
import { parseListenAddress } from '@neve/castore-services/listen'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

describe('08#4 an address to listen on', () => {
  it.each([
    ['/run/neve.sock', { kind: 'unix', path: '/run/neve.sock' }],
    ['//run/neve.sock', { kind: 'unix', path: '/run/neve.sock' }],
    ['./neve.sock', { kind: 'unix', path: './neve.sock' }],
    ['@neve', { kind: 'abstract', name: 'neve' }],
    ['@/run/neve', { kind: 'abstract', name: '/run/neve' }],
    ['inetd', { kind: 'stdio' }],
    ['STDIO', { kind: 'stdio' }],
    ['-', { kind: 'stdio' }],
    ['sd-listen', { kind: 'passed' }],
    ['SD_LISTEN', { kind: 'passed' }],
    ['sd-listen-unix', { kind: 'passed' }],
    ['sd_listen_unix', { kind: 'passed' }],
    ['sd-listen:grpc', { kind: 'passed', name: 'grpc' }],
    ['sd_listen:grpc', { kind: 'passed', name: 'grpc' }],
    ['sd-listen:*', { kind: 'passed', all: true }],
    ['127.0.0.1:8000', { kind: 'tcp', host: '127.0.0.1', port: 8000 }],
    ['0.0.0.0:0', { kind: 'tcp', host: '0.0.0.0', port: 0 }],
    ['[::]:8000', { kind: 'tcp', host: '::', port: 8000 }],
    ['[fe80::1%lo]:65535', { kind: 'tcp', host: 'fe80::1%lo', port: 65_535 }],
  ])('is read: %s', (text, expected) => {
    expect(parseListenAddress(text)).toEqual(expected)
  })

  it.each([
    ['', 'IPv4:port'],
    ['foo', 'IPv4:port'],
    ['localhost', 'IPv4:port'],
    ['localhost:8000', 'IPv4:port'],
    [':8000', 'IPv4:port'],
    ['::1:8000', 'IPv4:port'],
    ['[127.0.0.1]:80', 'IPv4:port'],
    ['[::1]', 'IPv4:port'],
    ['127.0.0.1:65536', 'IPv4:port'],
    ['127.0.0.1:http', 'IPv4:port'],
    ['http://127.0.0.1:80', 'IPv4:port'],
    ['../neve.sock', 'IPv4:port'],
    ['unix:/run/neve.sock', 'IPv4:port'],
    ['SD-LISTEN:grpc', 'IPv4:port'],
    ['sd-listen:', 'IPv4:port'],
    ['sd-listen:a:b', 'IPv4:port'],
    ['/', 'path of a socket'],
    ['.//', 'path of a socket'],
    ['/nul\0', 'NULs'],
    ['@', 'a name behind the @'],
    ['@nul\0', 'NULs'],
    [`/${'x'.repeat(107)}`, 'at most 107 bytes'],
    [`@${'é'.repeat(54)}`, 'at most 107 bytes'],
  ])('is refused with what was expected: %s', (text, expected) => {
    expect(() => parseListenAddress(text)).toThrow(expected)
    expect(() => parseListenAddress(text)).toThrow(`got '${text}'`)
  })

  it('vsock is refused by name', () => {
    expect(() => parseListenAddress('vsock:2:8000')).toThrow('Node.js has no sockets of that kind')
  })

  it('whatever the text is: an address, or a refusal of ours', () => {
    const piece = fc.constantFrom(
      '/',
      './',
      '@',
      'sd-listen',
      ':',
      '*',
      '[',
      ']',
      '::1',
      '127.0.0.1',
      '80',
      '\0',
      'a',
    )
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(piece).map((pieces) => pieces.join('')),
        ),
        (text) => {
          try {
            const address = parseListenAddress(text)
            expect(['tcp', 'unix', 'abstract', 'stdio', 'passed']).toContain(address.kind)
          } catch (error) {
            expect(error).toBeInstanceOf(CastoreError)
            expect(error).toMatchObject({ code: 'invalid-input' })
          }
        },
      ),
    )
  })
})
