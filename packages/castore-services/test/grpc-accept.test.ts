import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect as connectHttp2 } from 'node:http2'
import { connect, createServer, type Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { castoreServer } from '@neve/castore-services/grpc/server'
import { describe, expect, it } from 'vitest'
import { deferred } from './deferred.js'
import { ask, ECHO, echo } from './grpc-echo.js'

const echoing = () => castoreServer({ extend: (to) => to.add(ECHO, echo) })

async function answersOver(socket: Duplex): Promise<boolean> {
  const session = connectHttp2('http://localhost', { createConnection: () => socket })
  session.on('error', () => {})
  const { messages } = await ask(session, 'Both')
  session.close()
  return messages.join() === 'hello'
}

/** Runs a script with a server in a process of its own. */
function serveInChild(script: string): ChildProcess {
  const source = `
    import { castoreServer } from '@neve/castore-services/grpc/server'
    import { MemoryBlobService } from '@neve/castore-services/blob/memory'
    import { Duplex } from 'node:stream'
    const method = { path: '/test.Echo/Both', requestStream: true, responseStream: true, options: {},
      requestDeserialize: (bytes) => bytes, responseSerialize: (bytes) => bytes }
    const server = castoreServer({ extend: (to) => to.add({ Both: method }, { async *Both(all) { yield* all } }) })
    ${script}`
  return spawn(process.execPath, ['--input-type=module', '-e', source], {
    cwd: import.meta.dirname,
    stdio: ['pipe', 'pipe', 'pipe'],
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
