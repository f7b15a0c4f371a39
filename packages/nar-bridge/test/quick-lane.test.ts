import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { type HttpHandler, httpHandler, type NarBridgeOptions, type Reply } from '@neve/nar-bridge'
import { type Access, serve } from '@neve/nar-bridge/server'
import { formatInfusedNar } from '@neve/store-pathinfo'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { COMPLICATED, ingest, pathInfo } from './fixtures.js'
import { closed, served, temporaryStore } from './support.js'

const HASH = '0'.repeat(32)
const NARINFO = `/${HASH}.narinfo`
const ABSENT = `/${'1'.repeat(32)}.narinfo`

const get = (target: string, ...headers: string[]) =>
  [`GET ${target} HTTP/1.1`, 'Host: x', ...headers, '', ''].join('\r\n')

/** A connection, and what came over it so far. */
class Client {
  readonly socket: Socket
  text = ''

  constructor(url: string) {
    const { port, hostname } = new URL(url)
    this.socket = connect(Number(port), hostname)
    this.socket.on('error', () => {})
    this.socket.on('data', (piece) => {
      this.text += piece.toString('latin1')
    })
  }

  /** Sends something, and gives the replies that came once there are so many, without their dates. */
  async replies(count: number, ...pieces: string[]): Promise<string[]> {
    this.text = ''
    for (const piece of pieces) {
      this.socket.write(piece)
      // So that it goes in a packet of its own.
      await new Promise((resolve) => setImmediate(resolve))
    }
    const split = () => this.text.split(/(?=HTTP\/1\.1 \d)/).filter((one) => one !== '')
    const whole = (one: string) => {
      const [head = '', body = ''] = one.split(/\r\n\r\n(.*)/s)
      return body.length === Number(/content-length: (\d+)/.exec(head)?.[1])
    }
    while (split().length < count || !split().every(whole)) await once(this.socket, 'data')
    return split().map((one) => one.replace(/Date: [^\r]*/, 'Date'))
  }
}

async function cache(options: NarBridgeOptions = {}) {
  const store = await temporaryStore()
  const { node } = await ingest(store, COMPLICATED)
  await store.pathInfos.put(pathInfo(`${HASH}-dummy`, node, COMPLICATED))
  const accesses: Access[] = []
  const server = await served(store, options, { onAccess: (access) => accesses.push(access) })
  return { store, accesses, node, url: server.url, close: server.close }
}

describe('what can be told at once', () => {
  it('has the headers and the body that it has on the long way', async () => {
    const { url } = await cache()
    for (const target of [NARINFO, ABSENT, '/nix-cache-info']) {
      // A header twice is not for the lane.
      const twice = await new Client(url).replies(1, get(target, 'X-A: 1', 'X-A: 2'))
      const once = await new Client(url).replies(1, get(target, 'X-A: 1'))
      expect(once).toEqual(twice)
      expect(once[0]).toContain('Keep-Alive: timeout=60\r\n')
    }
  })

  it.each([
    ['one after the other', [get(NARINFO), get(ABSENT), get(NARINFO)], 3],
    ['together', [get(NARINFO) + get(ABSENT) + get(NARINFO)], 3],
    ['in pieces', [get(NARINFO).slice(0, 2), get(NARINFO).slice(2, 60), get(NARINFO).slice(60)], 1],
    ['one and a half', [get(NARINFO) + get(ABSENT).slice(0, 30), get(ABSENT).slice(30)], 2],
    ['and something else, and again', [get(NARINFO), get('/none'), get(NARINFO)], 3],
  ])('requests %s are all answered, in their order', async (_, pieces, count) => {
    const { url } = await cache()
    const client = new Client(url)
    const replies = await client.replies(count, ...pieces)
    expect(replies.map((one) => one.includes(`StorePath: /nix/store/${HASH}`))).toEqual(
      [true, false, true].slice(0, count),
    )
    expect(await client.replies(1, get(NARINFO))).toEqual([replies[0]])
  })

  it('a NAR comes over the same connection', async () => {
    const { url, node } = await cache()
    const client = new Client(url)
    await client.replies(1, get(NARINFO))
    const nar = `/${formatInfusedNar({ node, narSize: BigInt(COMPLICATED.length) })}`
    const [reply = ''] = await client.replies(1, get(nar))
    expect(reply.endsWith(COMPLICATED.toString('latin1'))).toBe(true)
  })

  it('is told to who listens, and to nobody without the token', async () => {
    const tokens = {
      accessOf: (header: string | undefined) => (header === 'Bearer good' ? 'read' : undefined),
    } as const
    const { url, accesses } = await cache({ tokens })
    const client = new Client(url)
    const [good = ''] = await client.replies(1, get(NARINFO, 'Authorization: Bearer good'))
    expect(good).toMatch(/^HTTP\/1.1 200 /)
    expect((await client.replies(1, get(NARINFO)))[0]).toMatch(/^HTTP\/1.1 401 /)
    await expect.poll(() => accesses.length).toBe(2)
    const [first, second] = accesses
    expect(first).toMatchObject({ method: 'GET', target: NARINFO, status: 200, whole: true })
    expect(first).toMatchObject({
      bytes: good.length - 'Date'.length + 'Date: Thu, 01 Jan 1970 00:00:00 GMT'.length,
    })
    expect(second).toMatchObject({ status: 401 })
  })

  it('a change of the store shows in the next reply', async () => {
    const { url, store, node } = await cache()
    const client = new Client(url)
    expect((await client.replies(1, get(ABSENT)))[0]).toMatch(/^HTTP\/1.1 404 /)
    await store.pathInfos.put(pathInfo(`${'1'.repeat(32)}-other`, node, COMPLICATED))
    expect((await client.replies(1, get(ABSENT)))[0]).toMatch(/^HTTP\/1.1 200 /)
  })

  it.each([
    ['HEAD', get(NARINFO).replace('GET', 'HEAD'), 200],
    ['HTTP/1.0', get(NARINFO).replace('HTTP/1.1', 'HTTP/1.0'), 200],
    ['a connection that is to end', get(NARINFO, 'Connection: close'), 200],
    ['no host', get(NARINFO).replace('Host: x\r\n', ''), 400],
    ['two hosts', get(NARINFO, 'Host: y'), 400],
    ['a header folded over lines', get(NARINFO, 'X-A: 1', ' 2'), undefined],
    ['a bare line feed', get(NARINFO, 'X-A: 1\nX-B: 2'), undefined],
    ['a body', get(NARINFO, 'Content-Length: 3'), undefined],
  ])('%s goes the long way', async (_, text, status) => {
    const { url } = await cache()
    const client = new Client(url)
    client.socket.write(text)
    if (status === undefined) client.socket.end()
    else await once(client.socket, 'data')
    if (status !== undefined) expect(client.text).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
    client.socket.end()
    await closed(client.socket)
  })

  it('whatever comes, the server goes on', async () => {
    const { url } = await cache()
    const text = fc.array(
      fc.constantFrom('GET ', NARINFO, ' HTTP/1.1\r\n', 'Host: x\r\n', '\r\n', '\0', 'é', ': '),
    )
    await fc.assert(
      fc.asyncProperty(text, async (parts) => {
        const client = new Client(url)
        client.socket.end(parts.join(''), 'latin1')
        await closed(client.socket)
      }),
      { numRuns: 50 },
    )
    expect((await new Client(url).replies(1, get(NARINFO)))[0]).toMatch(/^HTTP\/1.1 200 /)
  })
})

/** A handler that tells everything at once. */
function telling(reply: Reply): HttpHandler {
  return httpHandler(
    async () => reply,
    undefined,
    () => reply,
  )
}

describe('connections', () => {
  it('on which nothing is under way end when the server closes', async () => {
    const server = await serve(telling({ status: 200, headers: { 'content-length': '1' }, body: 'x' }), {
      listen: '127.0.0.1:0',
    })
    const client = new Client(server.url)
    await client.replies(1, get('/'))
    await server.close({ grace: 60_000 })
    await closed(client.socket)
  })

  it('of clients that ask and do not read hold one reply, and end', async () => {
    const body = 'x'.repeat(16 * 1024 * 1024)
    let asked = 0
    const handler: HttpHandler = Object.assign(telling({ status: 500, headers: {} }), {
      quick: () => {
        asked++
        return { status: 200, headers: { 'content-length': `${body.length}` }, body }
      },
    })
    const accesses: Access[] = []
    const options = { idleTimeout: 500, onAccess: (access: Access) => accesses.push(access) }
    await using server = await serve(handler, { listen: '127.0.0.1:0', ...options })
    const { socket } = new Client(server.url)
    socket.pause()
    await once(socket, 'connect')
    socket.write(get('/'))
    await expect.poll(() => asked).toBe(1)
    for (let i = 0; i < 20; i++) socket.write(get('/'))
    await expect.poll(() => accesses, { timeout: 10_000 }).toMatchObject([{ status: 200, whole: false }])
    expect(asked).toBe(1)
    socket.destroy()
  })
})
