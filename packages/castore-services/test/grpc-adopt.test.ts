import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { linkSync } from 'node:fs'
import { connect as connectHttp2 } from 'node:http2'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { Duplex } from 'node:stream'
import { castoreServer } from '@neve/castore-services/grpc/server'
import { describe, expect, it } from 'vitest'
import { deferred } from './deferred.js'
import { temporaryFolder } from './embedded-fixture.js'
import { ask, ECHO, echo } from './grpc-echo.js'

const echoing = () => castoreServer({ extend: (to) => to.add(ECHO, echo) })

async function listening(target: string | { host: string; port: number }): Promise<Server> {
  const server = createServer()
  server.listen(target as string)
  await once(server, 'listening')
  return server
}

async function answersOver(socket: Duplex): Promise<boolean> {
  const session = connectHttp2('http://localhost', { createConnection: () => socket })
  session.on('error', () => {})
  const { messages } = await ask(session, 'Both')
  session.close()
  return messages.join() === 'hello'
}

/** Something to listen on. */
const TARGETS: [string, () => string | { host: string; port: number }, RegExp][] = [
  ['tcp', () => ({ host: '127.0.0.1', port: 0 }), /^grpc\+http:\/\/127\.0\.0\.1:\d+$/],
  ['unix', () => join(temporaryFolder(), 'socket'), /^grpc\+unix:.*\/socket$/],
]

function connectTo(server: Server): Socket {
  const bound = server.address()!
  return typeof bound === 'string' ? connect(bound) : connect(bound.port, bound.address)
}

describe('what listens already', () => {
  it.each(TARGETS)('is taken over, and closed in the end: %s', async (_kind, target, expected) => {
    const taken = await listening(target())
    const server = echoing()
    expect((await server.listen(taken)).url).toMatch(expected)
    expect(await answersOver(connectTo(taken))).toBe(true)
    await server.close()
    expect(taken.listening).toBe(false)
  })

  it.each(TARGETS)('is a descriptor that was inherited: %s', async (_kind, target, expected) => {
    const server = await listening(target())
    const child = serveInChild(
      'const { url } = await server.listen({ fd: 3 }); process.stderr.write(url)',
      server,
    )
    expect(String((await once(child.stderr!, 'data'))[0])).toMatch(expected)
    const bound = server.address()!
    // Whoever made the socket takes none of its connections, and would take its file along.
    if (typeof bound === 'string') linkSync(bound, `${bound}.link`)
    server.close()
    const near = typeof bound === 'string' ? connect(`${bound}.link`) : connect(bound.port, bound.address)
    expect(await answersOver(near)).toBe(true)
    child.kill()
    await once(child, 'exit')
  })

  it('is refused when there is no such descriptor', async () => {
    await using server = echoing()
    await expect(server.listen({ fd: 9999 })).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('descriptor 9999'),
    })
  })
})

/** Runs a script with a server in a process of its own, which has a socket that listens as descriptor 3. */
function serveInChild(script: string, server?: Server): ChildProcess {
  const source = `
    import { castoreServer } from '@neve/castore-services/grpc/server'
    import { MemoryBlobService } from '@neve/castore-services/blob/memory'
    import { Duplex } from 'node:stream'
    const method = { path: '/test.Echo/Both', requestStream: true, responseStream: true, options: {},
      requestDeserialize: (bytes) => bytes, responseSerialize: (bytes) => bytes }
    const server = castoreServer({ extend: (to) => to.add({ Both: method }, { async *Both(all) { yield* all } }) })
    ${script}`
  const handle = server && (server as unknown as { _handle: { fd: number } })._handle.fd
  return spawn(process.execPath, ['--input-type=module', '-e', source], {
    cwd: import.meta.dirname,
    stdio: ['pipe', 'pipe', 'pipe', handle ?? 'ignore'],
  })
}

describe('one connection', () => {
  it.each([
    ['a socket', (socket: Socket): Duplex => socket],
    ['another stream', (socket: Socket): Duplex => Duplex.from({ readable: socket, writable: socket })],
  ])('is served until it is over: %s', async (_what, wrap) => {
    const accepted = deferred<Socket>()
    const between = createServer((socket) => accepted.resolve(socket)).listen(0, '127.0.0.1')
    await once(between, 'listening')
    const far = connect((between.address() as { port: number }).port, '127.0.0.1')
    const server = echoing()
    const serving = server.accept(wrap(await accepted.promise))
    expect(await answersOver(far)).toBe(true)
    await serving
    await server.accept(far)
    between.close()
  })

  it('is that over standard input and output', async () => {
    const child = serveInChild(`
      await server.accept(Duplex.from({ readable: process.stdin, writable: process.stdout }))
      process.stderr.write('over')`)
    const over = once(child.stderr!, 'data')
    expect(await answersOver(Duplex.from({ readable: child.stdout!, writable: child.stdin! }))).toBe(true)
    expect(String((await over)[0])).toBe('over')
    await once(child, 'exit')
  })

  it('is cut off when the server closes, and its client does not', async () => {
    const accepted = deferred<Socket>()
    const between = createServer((socket) => accepted.resolve(socket)).listen(0, '127.0.0.1')
    await once(between, 'listening')
    const far = connect((between.address() as { port: number }).port, '127.0.0.1')
    const server = echoing()
    const serving = server.accept(await accepted.promise)
    await server.close({ grace: 0 })
    await serving
    await once(far.resume(), 'close')
    between.close()
  })
})
