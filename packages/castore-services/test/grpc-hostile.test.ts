import { connect } from 'node:net'
import { Status } from 'nice-grpc'
import { describe, expect, it } from 'vitest'
import { framed } from '../src/grpc/message-frames.js'
import { deferred } from './deferred.js'
import { ask, type CallContext, echoServer } from './grpc-echo.js'
import {
  CONTINUATION,
  callFields,
  DATA,
  END_HEADERS,
  END_STREAM,
  fields,
  frame,
  HEADERS,
  OPENING,
  PING,
  PREFACE,
  RST_STREAM,
  rawClient,
  SETTINGS,
  toldToGo,
  uint32,
  WINDOW_UPDATE,
} from './http2-frames.js'

type Setup = Awaited<ReturnType<typeof echoServer>>

/** Whatever somebody else did, the next call is answered. */
async function expectServes({ session }: Setup): Promise<void> {
  const { messages } = await ask(session, 'Both')
  expect(messages).toEqual(['hello'])
}

const MiB = 1024 * 1024
const ECHO = callFields('/test.Echo/Gather')
const call = (stream: number) => frame(HEADERS, END_HEADERS, stream, ECHO)
const times = (count: number, make: (index: number) => Uint8Array) =>
  Buffer.concat(Array.from({ length: count }, (_, index) => make(index)))

describe('a client that does not keep to HTTP/2', () => {
  it.each<[string, () => Uint8Array]>([
    ['speaks HTTP/1.1', () => Buffer.from('GET / HTTP/1.1\r\nhost: a\r\n\r\n')],
    ['sends noise', () => times(1000, (index) => Buffer.of((index * 37) % 256))],
    [
      'sends a frame that is too long',
      () => Buffer.concat([OPENING, Buffer.of(255, 255, 255, DATA, 0, 0, 0, 0, 1)]),
    ],
    ['sends data to no call', () => Buffer.concat([OPENING, frame(DATA, 0, 1, Buffer.alloc(10))])],
    [
      'sends headers that cannot be read',
      () => Buffer.concat([OPENING, frame(HEADERS, END_HEADERS, 1, Buffer.alloc(50, 255))]),
    ],
    [
      'opens a window that overflows',
      () => Buffer.concat([OPENING, times(3, () => frame(WINDOW_UPDATE, 0, 0, uint32(2 ** 31 - 1)))]),
    ],
    [
      'goes on with headers for ever',
      () =>
        Buffer.concat([
          OPENING,
          frame(HEADERS, 0, 1, ECHO),
          times(2000, (index) => frame(CONTINUATION, 0, 1, fields([[`x-${index}`, 'y'.repeat(100)]]))),
        ]),
    ],
    [
      'resets calls as fast as it makes them',
      () =>
        Buffer.concat([
          OPENING,
          times(20_000, (index) =>
            Buffer.concat([call(2 * index + 1), frame(RST_STREAM, 0, 2 * index + 1, uint32(8))]),
          ),
        ]),
    ],
  ])('is put off, and others are served: it %s', async (_what, bytes) => {
    await using setup = await echoServer()
    const { socket, closed } = await rawClient(setup.address)
    const told = toldToGo(socket)
    socket.write(bytes())
    await Promise.race([told, closed])
    socket.destroy()
    await expectServes(setup)
  })

  it.each<[string, () => Uint8Array]>([
    ['settings', () => frame(SETTINGS, 0, 0, Buffer.of(0, 3, 0, 0, 0, 100))],
    ['pings', () => frame(PING, 0, 0, Buffer.alloc(8))],
  ])('is put off when it floods with %s, and does not read what it is told', async (_what, one) => {
    await using setup = await echoServer()
    const { socket, closed } = await rawClient(setup.address)
    socket.pause().write(OPENING)
    const flood = times(10_000, one)
    const more = (error?: Error | null): void => {
      if (!error) socket.write(flood, more)
    }
    more()
    // Only who reads is told of the close; the writing says it, too.
    await closed
    await expectServes(setup)
  })

  it('has so many headers that nobody looks at them', async () => {
    await using setup = await echoServer()
    const headers = Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`x-${index}`, 'y']))
    expect((await ask(setup.session, 'Both', { headers })).messages).toEqual([])
    await expectServes(setup)
  })

  it('makes no more calls at once than it may', async () => {
    const go = deferred<void>()
    const full = deferred<void>()
    let running = 0
    let most = 0
    const One = async (request: Uint8Array) => {
      running += 1
      most = Math.max(most, running)
      if (running === 10) full.resolve()
      await go.promise
      running -= 1
      return request
    }
    await using setup = await echoServer({ One }, { limits: { maxConcurrentCalls: 10 } })
    const { socket } = await rawClient(setup.address)
    const one = (stream: number) =>
      Buffer.concat([
        frame(HEADERS, END_HEADERS, stream, callFields('/test.Echo/One')),
        frame(DATA, END_STREAM, stream, framed(Buffer.from('a'))),
      ])
    // Its own answer to the settings comes after the calls.
    socket
      .resume()
      .write(Buffer.concat([OPENING, frame(SETTINGS, 1, 0), times(50, (index) => one(2 * index + 1))]))
    await full.promise
    await expectServes(setup)
    go.resolve()
    await expectServes(setup)
    expect(most).toBe(10)
    socket.destroy()
  })
})

describe('clients that are silent', () => {
  it('are let go, all of 1,000, and others are served meanwhile', async () => {
    await using setup = await echoServer({}, { limits: { connectTimeout: 2000 } })
    const port = Number(setup.address.split(':').at(-1))
    let open = 0
    const all = Array.from({ length: 1000 }, (_, index) => {
      const socket = connect(port, '127.0.0.1', () => {
        open += 1
        if (index % 2) socket.write(PREFACE.subarray(0, 10))
      })
      socket.on('error', () => {})
      return new Promise<void>((resolve) => socket.resume().once('close', () => resolve()))
    })
    await expectServes(setup)
    await Promise.all(all)
    expect(open).toBe(1000)
    await expectServes(setup)
  })

  it('cost no memory for what they only announce', async () => {
    await using setup = await echoServer()
    const before = process.memoryUsage.rss()
    const { socket } = await rawClient(setup.address)
    // 1,000 messages of 16 MiB.
    const header = Buffer.of(0, 1, 0, 0, 0)
    socket
      .resume()
      .write(
        Buffer.concat([
          OPENING,
          times(1000, (index) => Buffer.concat([call(2 * index + 1), frame(DATA, 0, 2 * index + 1, header)])),
        ]),
      )
    await expectServes(setup)
    expect(process.memoryUsage.rss() - before).toBeLessThan(256 * MiB)
    socket.destroy()
  })

  it('are cut off when they hold too much together, the largest first', async () => {
    const limits = { maxHeld: 8 * MiB }
    await using setup = await echoServer({}, { limits })
    const began = framed(Buffer.alloc(5 * MiB))
    const part = (bytes: number) =>
      ask(setup.session, 'Gather', { body: [began.subarray(0, bytes)], open: true })
    const larger = part(4 * MiB)
    const smaller = part(3 * MiB)
    const last = part(3 * MiB)
    const { trailers } = await larger
    expect(trailers['grpc-status']).toBe(String(Status.RESOURCE_EXHAUSTED))
    expect(trailers['grpc-message']).toContain('too much is under way')
    await expectServes(setup)
    setup.session.destroy()
    await Promise.all([smaller, last])
  })
})

describe('a client that does not take its answers', () => {
  it('holds back whoever makes them, and costs little', async () => {
    let made = 0
    const stopped = deferred<void>()
    async function* Spread(_request: Uint8Array, { signal }: CallContext) {
      try {
        for (; made < 1000; made++) yield Buffer.alloc(MiB)
        signal.throwIfAborted()
      } finally {
        stopped.resolve()
      }
    }
    await using setup = await echoServer({ Spread })
    const { socket } = await rawClient(setup.address)
    const request = Buffer.concat([
      frame(HEADERS, END_HEADERS, 1, callFields('/test.Echo/Spread')),
      frame(DATA, END_STREAM, 1, framed(Buffer.from('a'))),
    ])
    socket.write(Buffer.concat([OPENING, request]))
    // What was let through fills the window of 64 KiB.
    let got = 0
    await new Promise<void>((resolve) => {
      socket.on('data', (data: Buffer) => {
        got += data.length
        if (got >= 65_535) resolve()
      })
    })
    await expectServes(setup)
    expect(made).toBeLessThan(5)
    socket.destroy()
    await stopped.promise
  })

  it('and goes on to send after its status is cut off', async () => {
    const One = async (): Promise<never> => {
      throw new Error('no')
    }
    await using setup = await echoServer({ One, Gather: One })
    const stream = setup.session.request({
      ':method': 'POST',
      ':path': '/test.Echo/Gather',
      'content-type': 'application/grpc',
    })
    const closed = new Promise<void>((resolve) => stream.on('close', () => resolve()))
    stream.on('error', () => {})
    stream.resume()
    const piece = Buffer.alloc(MiB)
    const more = (error?: Error | null): void => {
      if (!error && !stream.destroyed) stream.write(piece, more)
    }
    more()
    await closed
    await expectServes({ ...setup, session: setup.session })
  })
})
