import { once } from 'node:events'
import { connect } from 'node:net'
import { gzipSync } from 'node:zlib'
import { formatInfusedNar } from '@neve/store-pathinfo'
import { describe, expect, it } from 'vitest'
import { COMPLICATED, fileHash, ingest, SYMLINK } from './fixtures.js'
import { closed, memoryStore, served, temporaryStore } from './support.js'

/** Sends what it is given, as it is, and collects what comes until the connection ends. */
async function raw(url: string, ...parts: (string | Uint8Array)[]): Promise<string> {
  const { port, hostname } = new URL(url)
  const socket = connect(Number(port), hostname)
  socket.on('error', () => {})
  const got: Buffer[] = []
  socket.on('data', (piece) => got.push(piece))
  for (const part of parts) socket.write(part)
  await closed(socket)
  return Buffer.concat(got).toString('latin1')
}

const get = (target: string, ...headers: string[]) =>
  `GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${headers.map((line) => `${line}\r\n`).join('')}\r\n`

const statusOf = (answer: string) => Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0)

describe('targets', () => {
  it.each([
    ['/../../etc/passwd', 404],
    ['/nar/../../etc/passwd', 404],
    ['/nar/%2e%2e/%2e%2e/etc/passwd', 404],
    ['/nar/..%2f..%2fetc%2fpasswd', 404],
    ['//etc/passwd', 404],
    ['/nar//nix/store', 404],
    ['/%00', 404],
    ['/nix-cache-info%00', 404],
    ['/nar/snix-castore/%00?narsize=1', 404],
    ['/nar/snix-castore/../x?narsize=1', 404],
    [`/nar/snix-castore/${'A'.repeat(5462)}?narsize=1`, 404],
    [`/nar/snix-castore/AA?narsize=${'9'.repeat(100)}`, 404],
    ['/00000000000000000000000000000000.narinfo%0d%0aX: y', 400],
    ['http://elsewhere.example/nix-cache-info', 404],
    ['*', 404],
    ['/<script>alert(1)</script>', 404],
    ['/log/\u001b[31m.drv', 400],
    [`/${'x'.repeat(20_000)}`, 431],
  ])('%s is %i', async (target, status) => {
    const { url, errors } = await served(memoryStore())
    const answer = await raw(url, get(target))
    expect(statusOf(answer)).toBe(status)
    // Nothing that was sent comes back as what a browser or a terminal would act on.
    for (const dangerous of ['<script', '\u001b']) expect(answer).not.toContain(dangerous)
    expect(errors).toEqual([])
  })
})

describe('methods', () => {
  it.each(['POST', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'PROPFIND'])('%s is 405', async (method) => {
    const { url } = await served(memoryStore())
    const answer = await raw(url, get('/nix-cache-info').replace('GET', method))
    expect(statusOf(answer)).toBe(405)
    expect(answer.toLowerCase()).toContain('allow: get, head, put')
  })

  it.each(['CONNECT x:1', 'HELLO /', '\0\0 /'])('%s gets nothing', async (line) => {
    const { url } = await served(memoryStore())
    expect([0, 400]).toContain(statusOf(await raw(url, `${line} HTTP/1.1\r\nHost: x\r\n\r\n`)))
  })
})

describe('headers', () => {
  it('of more than 16 KiB are 431', async () => {
    const { url } = await served(memoryStore())
    expect(statusOf(await raw(url, get('/', `X: ${'y'.repeat(20_000)}`)))).toBe(431)
  })

  it('that say two lengths, or a length and chunks, are 400', async () => {
    const { url } = await served(memoryStore())
    const head = `PUT /nar/${fileHash(SYMLINK)}.nar HTTP/1.1\r\nHost: x\r\n`
    for (const lines of [
      'Content-Length: 1\r\nContent-Length: 2\r\n',
      'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n',
      'Content-Length: -1\r\n',
    ]) {
      expect(statusOf(await raw(url, `${head}${lines}\r\n`))).toBe(400)
    }
  })

  it.each(['Host: y', 'Authorization: Bearer wrong'])('%s, a second time, is 400', async (line) => {
    const tokens = {
      accessOf: (header?: string) => (header === 'Bearer right' ? ('read' as const) : undefined),
    }
    const { url } = await served(memoryStore(), { tokens })
    const right = 'Authorization: Bearer right'
    expect(statusOf(await raw(url, get('/nix-cache-info', right)))).toBe(200)
    expect(statusOf(await raw(url, get('/nix-cache-info', right, line)))).toBe(400)
    expect(statusOf(await raw(url, get('/nix-cache-info', line, right)))).toBe(400)
  })

  it('with a thousand ranges get the whole, once', async () => {
    const store = memoryStore()
    const { node } = await ingest(store, COMPLICATED)
    const { url } = await served(store)
    const ranges = Array.from({ length: 1000 }, (_, i) => `${i}-`).join(',')
    const target = `/${formatInfusedNar({ node, narSize: 840n })}`
    const answer = await raw(url, get(target, `Range: bytes=${ranges}`))
    expect(statusOf(answer)).toBe(200)
    expect(answer.length).toBeLessThan(2000)
    expect(statusOf(await raw(url, get(target, 'Range: bytes=0-1', 'Range: bytes=2-3')))).toBe(200)
  })
})

describe('bodies', () => {
  const head = (more: string, suffix = '', archive: Uint8Array = SYMLINK) =>
    `PUT /nar/${fileHash(archive)}.nar${suffix} HTTP/1.1\r\nHost: x\r\n${more}\r\n`

  async function expectNothing(url: string): Promise<void> {
    expect((await fetch(`${url}/nar/${fileHash(SYMLINK)}.nar`)).status).toBe(404)
  }

  it('that end too early store nothing', async () => {
    const { url } = await served(memoryStore(), {}, { idleTimeout: 300 })
    // The rest never comes.
    await raw(url, head('Content-Length: 136\r\n'), SYMLINK.subarray(0, 100))
    await expectNothing(url)
  })

  it('that come a byte at a time and then no more are closed', async () => {
    const { url } = await served(memoryStore(), {}, { idleTimeout: 300 })
    const { port, hostname } = new URL(url)
    const socket = connect(Number(port), hostname)
    socket.on('error', () => {})
    socket.write(head('Content-Length: 136\r\n'))
    for (const byte of SYMLINK.subarray(0, 20)) socket.write(Uint8Array.of(byte))
    socket.resume()
    await closed(socket)
    await expectNothing(url)
  })

  it('without end are refused, and the connection is closed', async () => {
    const { url } = await served(memoryStore(), { maxNarSize: 1_000_000n })
    const { port, hostname } = new URL(url)
    const socket = connect(Number(port), hostname)
    socket.on('error', () => {})
    let answer = ''
    socket.on('data', (piece) => {
      answer += piece
    })
    const start = Buffer.from(SYMLINK.subarray(0, 56))
    socket.write(head('Transfer-Encoding: chunked\r\n'))
    const chunk = (bytes: Uint8Array) =>
      Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')])
    socket.write(chunk(start))
    let sent = 0
    const more = () => {
      while (!socket.destroyed && sent < 200_000_000) {
        sent += 65_536
        if (!socket.write(chunk(Buffer.alloc(65_536)))) return
      }
    }
    socket.on('drain', more)
    more()
    await closed(socket)
    expect(statusOf(answer)).toBe(400)
    expect(sent).toBeLessThan(100_000_000)
    await expectNothing(url)
  })

  it('that grow without end when they are decompressed are refused', async () => {
    const { url } = await served(memoryStore(), { maxNarSize: 10_000_000n })
    const file = Buffer.from(
      'DQAAAAAAAABuaXgtYXJjaGl2ZS0xAAAAAQAAAAAAAAAoAAAAAAAAAAQAAAAAAAAAdHlwZQAAAAAHAAAAAAAAAHJlZ3VsYXIACAAAAAAAAABjb250ZW50cw==',
      'base64',
    )
    const size = Buffer.alloc(8)
    size.writeBigUInt64LE(2n ** 40n)
    const bomb = gzipSync(Buffer.concat([file, size, Buffer.alloc(50_000_000)]))
    expect(bomb.length).toBeLessThan(100_000)
    const path = `/nar/${fileHash(bomb)}.nar.gz`
    expect((await fetch(`${url}${path}`, { method: 'PUT', body: new Uint8Array(bomb) })).status).toBe(413)
    expect((await fetch(`${url}${path}`)).status).toBe(404)
  })

  it.each([
    ['.xz', '\xfd7zXZ\0\0\x04\xe6\xd6\xb4\x46\x02\0'],
    ['.zst', '\x28\xb5\x2f\xfd\x04\x58'],
  ])('%s that breaks off is 400', async (suffix, text) => {
    const { url } = await served(memoryStore())
    const file = Buffer.from(text, 'latin1')
    const init = { method: 'PUT', body: new Uint8Array(file) }
    expect((await fetch(`${url}/nar/${fileHash(file)}.nar${suffix}`, init)).status).toBe(400)
    expect((await fetch(`${url}/nar/${fileHash(file)}.nar${suffix}`)).status).toBe(404)
  })

  it('without the right token are not read, and store nothing', async () => {
    const tokens = {
      accessOf: (header?: string) => (header === 'Bearer read' ? ('read' as const) : undefined),
    }
    const { url } = await served(memoryStore(), { tokens })
    for (const [token, status] of [
      ['wrong', 401],
      ['read', 403],
    ] as const) {
      const more = `Content-Length: 136\r\nExpect: 100-continue\r\nAuthorization: Bearer ${token}\r\n`
      const answer = await raw(url, head(more))
      expect(statusOf(answer)).toBe(status)
      expect(answer).not.toContain('100 Continue')
    }
    const headers = { authorization: 'Bearer read' }
    expect((await fetch(`${url}/nar/${fileHash(SYMLINK)}.nar`, { headers })).status).toBe(404)
  })

  it('are not asked for where the answer is no already', async () => {
    const { url } = await served(memoryStore(), { readOnly: true })
    const answer = await raw(url, head('Content-Length: 136\r\nExpect: 100-continue\r\n'))
    expect(statusOf(answer)).toBe(403)
    expect(answer).not.toContain('100 Continue')
  })

  it('are asked for where a client waits to be', async () => {
    const { url } = await served(memoryStore())
    const { port, hostname } = new URL(url)
    const socket = connect(Number(port), hostname)
    socket.write(head('Content-Length: 136\r\nExpect: 100-continue\r\nConnection: close\r\n'))
    const [first] = await once(socket, 'data')
    expect(String(first)).toMatch(/^HTTP\/1\.1 100 /)
    socket.write(SYMLINK)
    const [second] = await once(socket, 'data')
    expect(statusOf(String(second))).toBe(200)
    socket.destroy()
  })
})

describe('connections', () => {
  it('a thousand that say nothing are closed, and others are served on', async () => {
    const store = await temporaryStore()
    const { url } = await served(store, {}, { idleTimeout: 3000, maxConnections: 1200 })
    const { port, hostname } = new URL(url)
    const sockets = Array.from({ length: 1000 }, () => connect(Number(port), hostname))
    const ends = sockets.map((socket) => {
      socket.on('error', () => {})
      return closed(socket)
    })
    await Promise.all(sockets.map((socket) => once(socket, 'connect')))
    expect((await fetch(`${url}/nix-cache-info`)).status).toBe(200)
    sockets.forEach((socket) => {
      socket.resume()
    })
    await Promise.all(ends)
    expect((await fetch(`${url}/nix-cache-info`)).status).toBe(200)
  })

  it('beyond the most are closed at once', async () => {
    const { url } = await served(memoryStore(), {}, { maxConnections: 2 })
    const { port, hostname } = new URL(url)
    const two = [connect(Number(port), hostname), connect(Number(port), hostname)]
    await Promise.all(two.map((socket) => once(socket, 'connect')))
    await expect(fetch(`${url}/`)).rejects.toThrow()
    for (const socket of two) socket.destroy()
    await Promise.all(two.map((socket) => closed(socket)))
    await expect
      .poll(() =>
        fetch(`${url}/`).then(
          (response) => response.status,
          () => 0,
        ),
      )
      .toBe(200)
  })
})
