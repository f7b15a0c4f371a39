import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect as connectHttp2, type IncomingHttpHeaders } from 'node:http2'
import { connect } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { NarBridge } from '@neve/nar-bridge'
import { type Access, serve } from '@neve/nar-bridge/server'
import { encodeNixbase32 } from '@neve/nix-compat'
import { describe, expect, it, onTestFinished } from 'vitest'
import { COMPLICATED, SYMLINK_INFO } from './fixtures.js'
import { programIsThere } from './private-nix.js'
import { closed, memoryStore, served, temporaryFolder } from './support.js'

const run = promisify(execFile)
const HASH = encodeNixbase32(SYMLINK_INFO.storePath.digest)

/** A session of Node's own client. */
function session(url: string) {
  const opened = connectHttp2(url)
  opened.on('error', () => {})
  onTestFinished(() => opened.destroy())
  return opened
}

/** What one request is answered with; its body in bytes, and what ended the stream. */
async function asked(client: ReturnType<typeof session>, headers: Record<string, string>, body?: Buffer) {
  const stream = client.request(headers, { endStream: body === undefined })
  if (body !== undefined) stream.end(body)
  stream.on('error', () => {})
  const pieces: Buffer[] = []
  stream.on('data', (piece: Buffer) => pieces.push(piece))
  let answer: IncomingHttpHeaders = {}
  stream.on('response', (response) => {
    answer = response
  })
  await new Promise<void>((resolve) => stream.once('close', () => resolve()))
  return { status: answer[':status'], headers: answer, body: Buffer.concat(pieces), code: stream.rstCode }
}

describe('HTTP/2 without TLS', () => {
  it('is spoken on the same listener as HTTP/1.1', async () => {
    const store = memoryStore()
    await store.pathInfos.put(SYMLINK_INFO)
    const { url } = await served(store)
    const client = session(url)
    const path = `/${HASH}.narinfo`
    const { status, body, headers } = await asked(client, { ':path': path })
    expect([status, headers['content-type']]).toEqual([200, 'text/x-nix-narinfo'])
    expect(body.toString()).toBe(await (await fetch(url + path)).text())
    const many = await Promise.all(Array.from({ length: 50 }, () => asked(client, { ':path': path })))
    expect(new Set(many.map((one) => one.body.toString())).size).toBe(1)
    const head = await asked(client, { ':path': path, ':method': 'HEAD' })
    expect([head.status, head.body.length]).toEqual([200, 0])
  })

  it.skipIf(!programIsThere('curl'))('by curl, with prior knowledge', async () => {
    const { url } = await served(memoryStore())
    const args = ['-sS', '--http2-prior-knowledge', '-w', '%{http_version} %{http_code}', '-o', '/dev/null']
    expect((await run('curl', [...args, `${url}/nix-cache-info`])).stdout).toBe('2 200')
  })

  it('takes uploads, and refuses them', async () => {
    const { url } = await served(memoryStore())
    const client = session(url)
    const put = { ':method': 'PUT', ':path': `/nar/${encodeNixbase32(new Uint8Array(32))}.nar` }
    expect((await asked(client, put, Buffer.from(COMPLICATED))).status).toBe(400)
    const { status } = await asked(client, { ...put, ':path': '/nar/x.nar' }, Buffer.alloc(5_000_000))
    expect(status).toBe(400)
    expect((await asked(client, { ':path': '/nix-cache-info' })).status).toBe(200)
  })

  it('a body that cannot be sent whole ends in a reset of its stream, and of no other', async () => {
    const source = async function* () {
      yield new Uint8Array(1000)
      throw new Error('no more')
    }
    const bridge: NarBridge = Object.assign(() => Promise.reject(new Error('not asked this way')), {
      answer: async ({ target }: { readonly target: string }) =>
        target === '/bad'
          ? { status: 200, headers: {}, body: { source: source(), length: undefined } }
          : { status: 200, headers: {}, body: 'good' },
    })
    const log: Access[] = []
    await using server = await serve(bridge, { listen: '127.0.0.1:0', onAccess: (one) => log.push(one) })
    const client = session(server.url)
    const [bad, good] = await Promise.all([
      asked(client, { ':path': '/bad' }),
      asked(client, { ':path': '/good' }),
    ])
    expect(bad.code).toBe(2)
    expect([good.code, good.body.toString()]).toEqual([0, 'good'])
    expect(log.map(({ target, whole }) => [target, whole]).sort()).toEqual([
      ['/bad', false],
      ['/good', true],
    ])
    client.close()
  })

  it.each(['P', 'PR'])('a client that says %s and then no more is closed', async (text) => {
    const { url } = await served(memoryStore(), {}, { idleTimeout: 200 })
    const { port, hostname } = new URL(url)
    const socket = connect(Number(port), hostname)
    socket.on('error', () => {})
    socket.write(text)
    await closed(socket)
  })

  it('a client that sends its first line a byte at a time is answered', async () => {
    const { url } = await served(memoryStore())
    const { port, hostname } = new URL(url)
    const socket = connect(Number(port), hostname)
    socket.setNoDelay(true)
    const got = once(socket, 'data')
    for (const byte of 'PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n') {
      socket.write(byte)
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(String((await got)[0])).toMatch(/^HTTP\/1\.1 404 /)
    await closed(socket)
  })

  it('ends its connections when the server stops', async () => {
    const bridge = (await served(memoryStore())).bridge
    const server = await serve(bridge, { listen: '127.0.0.1:0' })
    const client = session(server.url)
    expect((await asked(client, { ':path': '/nix-cache-info' })).status).toBe(200)
    const ended = once(client, 'close')
    await server.close({ grace: 60_000 })
    await ended
  })
})

describe.skipIf(!programIsThere('openssl', 'version'))('TLS', () => {
  it.skipIf(!programIsThere('curl'))('speaks HTTP/1.1 and HTTP/2', async () => {
    const folder = temporaryFolder()
    const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')]
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2']
    const subject = ['-subj', '/CN=server', '-addext', 'subjectAltName=IP:127.0.0.1']
    const made = ['req', '-x509', ...curve, '-keyout', key, '-out', cert, ...subject]
    await run('openssl', made)
    const { bridge } = await served(memoryStore())
    const tls = { cert: readFileSync(cert), key: readFileSync(key) }
    await using server = await serve(bridge, { listen: '127.0.0.1:0', tls })
    expect(server.url).toMatch(/^https:/)
    const args = ['-sS', '--cacert', cert, '-w', '%{http_version} %{http_code}', '-o', '/dev/null']
    for (const version of ['1.1', '2']) {
      const ran = await run('curl', [...args, `--http${version}`, `${server.url}/nix-cache-info`])
      expect(ran.stdout).toBe(`${version} 200`)
      const page = await run('curl', ['-sS', '--cacert', cert, `--http${version}`, server.url])
      expect(page.stdout).toContain(`extra-substituters = ${server.url}<`)
    }
  })
})
