import { once } from 'node:events'
import { type ClientHttp2Session, connect, constants, type IncomingHttpHeaders } from 'node:http2'
import { connect as connectSocket } from 'node:net'
import { gzipSync } from 'node:zlib'
import { formatInfusedNar } from '@neve/store-pathinfo'
import { describe, expect, it, onTestFinished } from 'vitest'
import { COMPLICATED, fileHash, ingest, SYMLINK } from './fixtures.js'
import { closed, memoryStore, served } from './support.js'

function session(url: string): ClientHttp2Session {
  const opened = connect(url)
  opened.on('error', () => {})
  onTestFinished(() => opened.destroy())
  return opened
}

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
  readonly code: number
}

/** What a request is answered with; status 0 where it is reset before. */
async function asked(
  client: ClientHttp2Session,
  headers: Record<string, string | string[]>,
  ...pieces: Uint8Array[]
): Promise<Answer> {
  const stream = client.request(headers, { endStream: pieces.length === 0 })
  stream.on('error', () => {})
  let got: IncomingHttpHeaders = {}
  stream.on('response', (response) => {
    got = response
  })
  const body: Buffer[] = []
  stream.on('data', (piece: Buffer) => body.push(piece))
  for (const piece of pieces) stream.write(piece)
  if (pieces.length > 0) stream.end()
  await new Promise<void>((resolve) => stream.once('close', () => resolve()))
  const status = Number(got[':status'] ?? 0)
  return { status, headers: got, body: Buffer.concat(body).toString('latin1'), code: stream.rstCode ?? 0 }
}

const put = (archive: Uint8Array = SYMLINK, suffix = '') => ({
  ':method': 'PUT',
  ':path': `/nar/${fileHash(archive)}.nar${suffix}`,
})

/** Others are served on, and what was refused is not there. */
async function expectUnharmed(url: string): Promise<void> {
  const client = session(url)
  expect((await asked(client, { ':path': '/nix-cache-info' })).status).toBe(200)
  expect((await asked(client, { ':path': `/nar/${fileHash(SYMLINK)}.nar` })).status).toBe(404)
  client.close()
}

describe('over HTTP/2, targets', () => {
  it.each([
    ['/../../etc/passwd', 404],
    ['/nar/%2e%2e/%2e%2e/etc/passwd', 404],
    ['//etc/passwd', 404],
    ['/%00', 404],
    // No HTTP: the stream is reset.
    ['etc/passwd', 0],
    ['*', 0],
    [`/nar/snix-castore/AA?narsize=${'9'.repeat(100)}`, 404],
    ['/<script>alert(1)</script>', 404],
    ['/log/%1b[31m.drv', 404],
    ['http://elsewhere.example/nix-cache-info', 0],
  ])('%s is %i', async (target, status) => {
    const { url, errors } = await served(memoryStore())
    const answer = await asked(session(url), { ':path': target })
    expect(answer.status).toBe(status)
    for (const dangerous of ['<script', '\u001b']) expect(answer.body).not.toContain(dangerous)
    expect(errors).toEqual([])
  })

  it.each(['POST', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND', 'HELLO'])('%s is 405', async (method) => {
    const { url } = await served(memoryStore())
    const answer = await asked(session(url), { ':path': '/nix-cache-info', ':method': method })
    expect([answer.status, answer.headers['allow']]).toEqual([405, 'GET, HEAD, PUT'])
  })

  it.each(['Bearer wrong', 'Basic bml4Ondyb25n', 'Basic ====', `Bearer ${'x'.repeat(5000)}`, '\t'])(
    'the token %j is refused',
    async (authorization) => {
      const tokens = {
        accessOf: (header?: string) => (header === 'Bearer right' ? ('read' as const) : undefined),
      }
      const { url } = await served(memoryStore(), { tokens })
      const client = session(url)
      const asking = (header: string, method = 'GET') =>
        asked(client, { ':path': '/nix-cache-info', ':method': method, authorization: header })
      expect((await asking(authorization)).status).toBe(401)
      expect((await asking('Bearer right')).status).toBe(200)
      expect((await asking('Bearer right', 'PUT')).status).toBe(403)
    },
  )
})

describe('over HTTP/2, headers', () => {
  it('of more than 16 KiB are 431', async () => {
    const { url } = await served(memoryStore())
    const large = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`x-${i}`, 'y'.repeat(1000)]))
    const answer = await asked(session(url), { ':path': '/', ...large })
    expect(answer.status).toBe(431)
    await expectUnharmed(url)
  })

  it('with a thousand ranges get the whole, once', async () => {
    const store = memoryStore()
    const { node } = await ingest(store, COMPLICATED)
    const { url } = await served(store)
    const range = `bytes=${Array.from({ length: 1000 }, (_, i) => `${i}-`).join(',')}`
    const path = `/${formatInfusedNar({ node, narSize: 840n })}`
    const answer = await asked(session(url), { ':path': path, range })
    expect([answer.status, answer.body.length]).toEqual([200, 840])
  })

  it('that say a length which the body has not end in a reset, and nothing is stored', async () => {
    const { url } = await served(memoryStore())
    for (const length of ['10', '1000']) {
      const answer = await asked(session(url), { ...put(), 'content-length': length }, SYMLINK)
      expect(answer.status).not.toBe(200)
    }
    await expectUnharmed(url)
  })
})

describe('over HTTP/2, bodies', () => {
  it('that end too early, of an unknown length, are 400', async () => {
    const { url } = await served(memoryStore())
    expect((await asked(session(url), put(), SYMLINK.subarray(0, 100))).status).toBe(400)
    await expectUnharmed(url)
  })

  it('of which no more comes are closed', async () => {
    const { url } = await served(memoryStore(), {}, { idleTimeout: 300 })
    const client = session(url)
    const stream = client.request(put())
    stream.on('error', () => {})
    for (const byte of SYMLINK.subarray(0, 20)) stream.write(Uint8Array.of(byte))
    await new Promise<void>((resolve) => client.once('close', () => resolve()))
    await expectUnharmed(url)
  })

  it('without end are refused', async () => {
    const { url } = await served(memoryStore(), { maxNarSize: 1_000_000n })
    const client = session(url)
    const stream = client.request(put())
    stream.on('error', () => {})
    stream.resume()
    let status = 0
    stream.on('response', (headers) => {
      status = Number(headers[':status'] ?? 0)
    })
    stream.write(SYMLINK.subarray(0, 56))
    let sent = 0
    const more = () => {
      while (!stream.destroyed && sent < 200_000_000) {
        sent += 65_536
        if (!stream.write(Buffer.alloc(65_536))) return
      }
    }
    stream.on('drain', more)
    more()
    await new Promise<void>((resolve) => stream.once('close', () => resolve()))
    expect(status).toBe(400)
    expect(sent).toBeLessThan(100_000_000)
    await expectUnharmed(url)
  })

  it.each([
    ['.xz', '\xfd7zXZ\0\0\x04\xe6\xd6\xb4\x46\x02\0'],
    ['.zst', '\x28\xb5\x2f\xfd\x04\x58'],
    ['.gz', '\x1f\x8b\x08\0\0\0\0\0\0\x03\xed'],
    ['.bz2', 'BZh91AY'],
  ])('%s that breaks off is 400', async (suffix, text) => {
    const { url } = await served(memoryStore())
    const file = Buffer.from(text, 'latin1')
    expect((await asked(session(url), put(file, suffix), file)).status).toBe(400)
    await expectUnharmed(url)
  })

  it('that grow without end when they are decompressed are 413', async () => {
    const { url } = await served(memoryStore(), { maxNarSize: 10_000_000n })
    const contents = Buffer.alloc(16)
    contents.write('contents')
    contents.writeBigUInt64LE(2n ** 40n, 8)
    const head = Buffer.concat([
      ...['nix-archive-1', '(', 'type', 'regular'].map((text) => {
        const framed = Buffer.alloc(8 + Math.ceil(text.length / 8) * 8)
        framed.writeUInt32LE(text.length)
        framed.write(text, 8)
        return framed
      }),
      Buffer.from([8, 0, 0, 0, 0, 0, 0, 0]),
      contents,
    ])
    const bomb = gzipSync(Buffer.concat([head, Buffer.alloc(50_000_000)]))
    expect((await asked(session(url), put(bomb, '.gz'), bomb)).status).toBe(413)
    await expectUnharmed(url)
  })
})

describe('over HTTP/2, connections', () => {
  it('a thousand that say the preface and no more are closed, and others are served on', async () => {
    const { url } = await served(memoryStore(), {}, { idleTimeout: 3000, maxConnections: 1200 })
    const { port, hostname } = new URL(url)
    const sockets = Array.from({ length: 1000 }, () => connectSocket(Number(port), hostname))
    const ends = sockets.map((socket) => {
      socket.on('error', () => {})
      socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
      socket.resume()
      return closed(socket)
    })
    await Promise.all(sockets.map((socket) => once(socket, 'connect')))
    await expectUnharmed(url)
    await Promise.all(ends)
    await expectUnharmed(url)
  })

  it('one that opens requests and takes them back, again and again, is served no worse than others', async () => {
    const { url } = await served(memoryStore())
    const client = session(url)
    await once(client, 'connect')
    const before = process.memoryUsage().rss
    for (let i = 0; i < 100 && !client.destroyed; i++) {
      const streams = Array.from({ length: 50 }, () => client.request({ ':path': '/nix-cache-info' }))
      await Promise.all(
        streams.map((stream) => {
          stream.on('error', () => {})
          stream.close(constants.NGHTTP2_CANCEL)
          return new Promise<void>((resolve) => stream.once('close', () => resolve()))
        }),
      )
    }
    expect(process.memoryUsage().rss - before).toBeLessThan(256 * 1024 * 1024)
    await expectUnharmed(url)
  })

  it.each([
    ['nonsense behind the preface', Buffer.alloc(10_000, 0xff)],
    ['a frame longer than any', Buffer.from([0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1])],
    ['a window update of nothing', Buffer.from([0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0])],
    ['headers that never end', Buffer.concat([Buffer.from([0, 0, 1, 1, 0, 0, 0, 0, 1, 0x82])])],
  ])('%s ends the connection', async (_, bytes) => {
    const { url } = await served(memoryStore(), {}, { idleTimeout: 300 })
    const { port, hostname } = new URL(url)
    const socket = connectSocket(Number(port), hostname)
    socket.on('error', () => {})
    socket.resume()
    socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
    socket.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]))
    socket.write(bytes)
    await closed(socket)
    await expectUnharmed(url)
  })
})
