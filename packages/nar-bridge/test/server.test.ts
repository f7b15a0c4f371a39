import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import type { BridgeStore, NarBridge, Reply } from '@neve/nar-bridge'
import { type Access, serve } from '@neve/nar-bridge/server'
import { formatInfusedNar } from '@neve/store-pathinfo'
import { describe, expect, it } from 'vitest'
import { COMPLICATED, ingest, SYMLINK_INFO } from './fixtures.js'
import { PrivateNix, programIsThere } from './private-nix.js'
import { closed, collect, memoryStore, served, temporaryFolder } from './support.js'

/** A bridge that answers one thing. */
function answering(answer: (signal: AbortSignal) => Reply | Promise<Reply>): NarBridge {
  const never = () => Promise.reject(new Error('not asked this way'))
  return Object.assign(never, {
    answer: async ({ signal }: { readonly signal: AbortSignal }) => answer(signal),
  })
}

async function* pieces(count: number, length: number, last?: () => void) {
  try {
    for (let i = 0; i < count; i++) yield new Uint8Array(length).fill(i)
  } finally {
    last?.()
  }
}

/** What a client gets, until the connection ends. */
async function raw(url: string, text: string): Promise<Buffer> {
  const { port, hostname } = new URL(url)
  const socket = connect(Number(port), hostname)
  socket.on('error', () => {})
  const got: Buffer[] = []
  socket.on('data', (piece) => got.push(piece))
  socket.write(text)
  await closed(socket)
  return Buffer.concat(got)
}

const GET = 'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'

describe('bodies', () => {
  it('arrive whole, though their pieces are used again', async () => {
    const shared = new Uint8Array(300_000)
    const source = (async function* () {
      for (let i = 0; i < 50; i++) yield shared.fill(i)
    })()
    const bridge = answering(() => ({ status: 200, headers: {}, body: { source, length: undefined } }))
    await using server = await serve(bridge, { listen: '127.0.0.1:0' })
    const body = Buffer.from(await (await fetch(server.url)).arrayBuffer())
    expect(body.length).toBe(15_000_000)
    for (let i = 0; i < 50; i++) {
      expect(body.subarray(i * 300_000, (i + 1) * 300_000).every((byte) => byte === i)).toBe(true)
    }
  })

  it.each([
    ['fails in the middle, of known length', 3000n, 2, true],
    ['fails in the middle, of unknown length', undefined, 2, true],
    ['is shorter than was announced', 3000n, 2, false],
    ['is longer than was announced', 1500n, 2, false],
  ])('one that %s is not taken for a whole one', async (_, length, count, fails) => {
    const source = () =>
      (async function* () {
        yield* pieces(count, 1000)
        if (fails) throw new Error('no more')
      })()
    const headers: Record<string, string> = length === undefined ? {} : { 'content-length': `${length}` }
    const bridge = answering(() => ({ status: 200, headers, body: { source: source(), length } }))
    await using server = await serve(bridge, { listen: '127.0.0.1:0' })
    expect((await raw(server.url, GET)).includes('\r\n0\r\n\r\n')).toBe(false)
    await expect(fetch(server.url).then((response) => response.arrayBuffer())).rejects.toThrow()
  })

  it.skipIf(!programIsThere('curl'))('of unknown length end in a reset for HTTP/1.0 too', async () => {
    const source = (fails: boolean) =>
      (async function* () {
        yield* pieces(2, 1000)
        if (fails) throw new Error('no more')
      })()
    let fails = false
    const bridge = answering(() => ({
      status: 200,
      headers: {},
      body: { source: source(fails), length: undefined },
    }))
    await using server = await serve(bridge, { listen: '127.0.0.1:0' })
    const curl = () => new PrivateNix().try('curl', '-sS', '--http1.0', server.url)
    expect((await curl()).status).toBe(0)
    fails = true
    expect((await curl()).stderr).toContain('(56)')
  })

  it('are let go of when the client goes away, and the signal says so', async () => {
    let ended: (() => void) | undefined
    const end = new Promise<void>((resolve) => {
      ended = resolve
    })
    let aborted: AbortSignal | undefined
    const bridge = answering((signal) => {
      aborted = signal
      return {
        status: 200,
        headers: {},
        body: { source: pieces(100_000, 100_000, ended), length: undefined },
      }
    })
    await using server = await serve(bridge, { listen: '127.0.0.1:0' })
    const asking = request(server.url).end()
    const [response] = await once(asking, 'response')
    await once(response, 'data')
    response.destroy()
    await end
    expect(aborted?.aborted).toBe(true)
  })

  it('stop growing where a client does not read', async () => {
    let made = 0
    let onAccess: (() => void) | undefined
    const source = (async function* () {
      for (;;) {
        made++
        yield new Uint8Array(1_000_000)
      }
    })()
    const bridge = answering(() => ({ status: 200, headers: {}, body: { source, length: undefined } }))
    const over = new Promise<void>((resolve) => {
      onAccess = () => resolve()
    })
    await using server = await serve(bridge, { listen: '127.0.0.1:0', idleTimeout: 500, onAccess })
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1')
    socket.on('error', () => {})
    socket.pause()
    socket.write(GET)
    // The server gives up after the silence. Until then it makes what fits into the buffers of the system.
    await over
    socket.destroy()
    expect(made).toBeLessThan(30)
  })
})

describe('connections', () => {
  it('serve many requests, also after an error', async () => {
    const store = memoryStore()
    await store.pathInfos.put(SYMLINK_INFO)
    const accesses: Access[] = []
    const { url, close } = await served(store, {}, { onAccess: (access) => accesses.push(access) })
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    const paths = ['/nix-cache-info', '/x', '/00000000000000000000000000000000.narinfo', '/nix-cache-info']
    const statuses: unknown[] = []
    const sockets = new Set<unknown>()
    for (const path of paths) {
      const asking = request(`${url}${path}`, { agent }).end()
      const [response] = await once(asking, 'response')
      sockets.add(response.socket)
      await collect(response)
      statuses.push(response.statusCode)
    }
    agent.destroy()
    await close()
    expect(statuses).toEqual([200, 404, 200, 200])
    expect(sockets.size).toBe(1)
    expect(accesses.map(({ target, status, whole }) => [target, status, whole])).toEqual(
      paths.map((path, i) => [path, statuses[i], true]),
    )
    expect(accesses[0]).toMatchObject({ client: '127.0.0.1', method: 'GET' })
  })

  it('that say nothing are closed', async () => {
    const { url } = await served(memoryStore(), {}, { idleTimeout: 300 })
    expect((await raw(url, '')).length).toBe(0)
    expect((await raw(url, 'GET / HTTP/1.1\r\nHost')).toString()).toMatch(/^$|408/)
  })

  it('over a unix socket, whose file goes with the server', async () => {
    const socketPath = join(temporaryFolder(), 'http.sock')
    const server = await serve(
      answering(() => ({ status: 200, headers: {}, body: 'hi' })),
      {
        listen: socketPath,
        socketMode: 0o600,
      },
    )
    const [response] = await once(request({ socketPath, path: '/' }).end(), 'response')
    expect((await collect(response)).toString()).toBe('hi')
    await server.close()
    expect(existsSync(socketPath)).toBe(false)
  })

  it('end with the server, once what runs has ended', async () => {
    let go: (() => void) | undefined
    const gate = new Promise<void>((resolve) => {
      go = resolve
    })
    const source = (async function* () {
      yield new Uint8Array(10)
      await gate
      yield new Uint8Array(10)
    })()
    const bridge = answering(() => ({ status: 200, headers: {}, body: { source, length: undefined } }))
    const server = await serve(bridge, { listen: '127.0.0.1:0' })
    const response = await fetch(server.url)
    const closing = server.close()
    await expect(fetch(server.url)).rejects.toThrow()
    go?.()
    expect((await response.arrayBuffer()).byteLength).toBe(20)
    await closing
  })

  it('are cut off after the grace', async () => {
    const source = (async function* () {
      yield new Uint8Array(10)
      await new Promise(() => {})
    })()
    const bridge = answering(() => ({ status: 200, headers: {}, body: { source, length: undefined } }))
    const server = await serve(bridge, { listen: '127.0.0.1:0' })
    const response = await fetch(server.url)
    await server.close({ grace: 1 })
    await expect(response.arrayBuffer()).rejects.toThrow()
  })
})

describe('damage', () => {
  it('of the contents is told to whoever runs the server, and resets the connection', async () => {
    const store = memoryStore()
    const { node } = await ingest(store, COMPLICATED)
    const broken: BridgeStore = {
      ...{
        blobs: store.blobs,
        directories: store.directories,
        pathInfos: store.pathInfos,
        engine: undefined,
      },
      openNar: (target) => store.openNar(target),
      compressedNar: (target) => store.compressedNar(target),
      narListing: (target) => store.narListing(target),
      async *nar() {
        yield COMPLICATED.subarray(0, 400)
        throw new Error('damaged')
      },
    }
    const { url, errors } = await served(broken)
    const asked = fetch(`${url}/${formatInfusedNar({ node, narSize: 840n })}`)
    await expect(asked.then((response) => response.arrayBuffer())).rejects.toThrow()
    expect(errors).toMatchObject([{ message: 'damaged' }])
  })
})
