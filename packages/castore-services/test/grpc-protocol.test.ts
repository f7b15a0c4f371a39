import { gzipSync } from 'node:zlib'
import { ServerError, type ServerMiddleware, Status } from 'nice-grpc'
import { describe, expect, it } from 'vitest'
import { framed } from '../src/grpc/message-frames.js'
import { deferred } from './deferred.js'
import { ask, type CallContext, echoServer } from './grpc-echo.js'

const message = (text: string) => framed(Buffer.from(text))
const compressed = (text: Uint8Array | string) => {
  const out = Buffer.from(framed(gzipSync(text)))
  out[0] = 1
  return out
}

describe('a call to the server', () => {
  it('of each kind is answered', async () => {
    await using setup = await echoServer()
    const several = { body: ['a', 'b', 'c'].map(message) }
    const ok = {
      headers: { ':status': 200, 'content-type': 'application/grpc' },
      trailers: { 'grpc-status': '0' },
    }
    expect(await ask(setup.session, 'One')).toMatchObject({ ...ok, messages: ['hello'] })
    expect(await ask(setup.session, 'Spread')).toMatchObject({ ...ok, messages: ['h', 'e', 'l', 'l', 'o'] })
    expect(await ask(setup.session, 'Gather', several)).toMatchObject({ ...ok, messages: ['abc'] })
    expect(await ask(setup.session, 'Both', several)).toMatchObject({ ...ok, messages: ['a', 'b', 'c'] })
    expect(await ask(setup.session, 'Both', { body: [] })).toMatchObject({ ...ok, messages: [] })
  })

  it('may answer before the requests have ended', async () => {
    await using setup = await echoServer()
    const first = deferred<void>()
    const stream = setup.session.request({
      ':method': 'POST',
      ':path': '/test.Echo/Both',
      'content-type': 'application/grpc',
    })
    stream.once('data', () => first.resolve())
    stream.write(message('a'))
    await first.promise
    stream.close()
  })

  it('ends alone when an observer fails, before it is served or after', async () => {
    for (const before of [true, false]) {
      const told: unknown[] = []
      const failure = new Error('the observer failed')
      let fails = true
      await using setup = await echoServer(
        {},
        {
          onError: (method, error) => told.push([method, error]),
          extend: (to) =>
            void to.observe(async (_call, serve) => {
              if (fails && before) throw failure
              const served = await serve()
              if (fails) throw failure
              return served
            }),
        },
      )
      const first = await ask(setup.session, 'One').catch((error: unknown) => error)
      if (before) expect(first).not.toMatchObject({ trailers: { 'grpc-status': '0' } })
      else await expect.poll(() => told.length).toBe(1)
      expect(told).toEqual([['/test.Echo/One', failure]])
      fails = false
      expect(await ask(setup.session, 'One')).toMatchObject({ messages: ['hello'] })
    }
  })

  it.each([
    ['no request', [], Status.UNIMPLEMENTED, 'no request, expected one'],
    ['several', [message('a'), message('b')], Status.UNIMPLEMENTED, 'several requests, expected one'],
    ['a part of one', [message('abc').subarray(0, 6)], Status.INTERNAL, 'the requests end within a message'],
    ['a part of a header', [Uint8Array.of(0, 0)], Status.INTERNAL, 'the requests end within a message'],
    [
      'a flag that nobody knows',
      [Uint8Array.of(2, 0, 0, 0, 0)],
      Status.INTERNAL,
      'compressed message (flag 2)',
    ],
    ['compression that was not announced', [compressed('a')], Status.INTERNAL, 'compressed message (flag 1)'],
  ])('is refused with %s', async (_what, body, code, details) => {
    await using setup = await echoServer()
    const { trailers } = await ask(setup.session, 'One', { body })
    expect(trailers['grpc-status']).toBe(String(code))
    expect(decodeURIComponent(String(trailers['grpc-message']))).toContain(details)
  })

  it('is told what cannot be: another method, content or way', async () => {
    await using setup = await echoServer()
    const { headers, trailers } = await ask(setup.session, '/test.Echo/None')
    expect(headers).toMatchObject({ ':status': 200, 'content-type': 'application/grpc' })
    expect(trailers).toMatchObject({ 'grpc-status': '12', 'grpc-message': 'unknown method /test.Echo/None' })
    for (const type of ['application/grpc-web', 'application/json', '']) {
      const refused = await ask(setup.session, 'One', { headers: { 'content-type': type } })
      expect(refused.headers[':status']).toBe(415)
    }
    for (const type of ['application/grpc+proto', 'application/grpc;charset=x']) {
      expect(await ask(setup.session, 'One', { headers: { 'content-type': type } })).toMatchObject({
        messages: ['hello'],
      })
    }
    const put = await ask(setup.session, 'One', { headers: { ':method': 'PUT' } })
    expect(put.headers).toMatchObject({ ':status': 405, allow: 'POST' })
  })

  it('is read when it is compressed with gzip, and told so when with anything else', async () => {
    const limits = { maxMessageSize: 1000 }
    await using setup = await echoServer({}, { limits })
    const headers = { 'grpc-encoding': 'gzip' }
    const body = [compressed('a'), message('b'), compressed('c')]
    expect(await ask(setup.session, 'Gather', { headers, body })).toMatchObject({ messages: ['abc'] })
    const bomb = await ask(setup.session, 'One', { headers, body: [compressed(new Uint8Array(100_000))] })
    expect(bomb.trailers['grpc-status']).toBe(String(Status.RESOURCE_EXHAUSTED))
    const most = await ask(setup.session, 'One', { headers, body: [compressed(Buffer.alloc(1000, 'x'))] })
    expect(most.messages[0]).toHaveLength(1000)
    const damaged = compressed('hello')
    damaged.fill(7, 10)
    const broken = await ask(setup.session, 'One', { headers, body: [damaged] })
    expect(broken.trailers['grpc-status']).toBe(String(Status.INTERNAL))
    const other = await ask(setup.session, 'One', { headers: { 'grpc-encoding': 'snappy' } })
    expect(other.trailers).toMatchObject({ 'grpc-status': '12', 'grpc-accept-encoding': 'identity,gzip' })
  })

  it('is over when its time is, and whoever works on it is told', async () => {
    const ended = deferred<unknown>()
    const wait = async (_request: Uint8Array, { signal }: CallContext): Promise<never> => {
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
      ended.resolve(signal.reason)
      throw signal.reason
    }
    await using setup = await echoServer({ One: wait })
    for (const timeout of ['5m', '5000u', '5000000n', '0S']) {
      const { trailers } = await ask(setup.session, 'One', { headers: { 'grpc-timeout': timeout } })
      expect(trailers).toMatchObject({ 'grpc-status': '4', 'grpc-message': 'deadline exceeded' })
    }
    await expect(ended.promise).resolves.toMatchObject({ code: Status.DEADLINE_EXCEEDED })
    for (const timeout of ['5', 'm', '123456789S', '-1S', '1d']) {
      const { trailers } = await ask(setup.session, 'Both', { headers: { 'grpc-timeout': timeout } })
      expect(trailers['grpc-status']).toBe(String(Status.INTERNAL))
    }
    const long = await ask(setup.session, 'Both', { headers: { 'grpc-timeout': '99999999H' } })
    expect(long.messages).toEqual(['hello'])
  })

  it('carries metadata both ways, bytes among it', async () => {
    const One = async (request: Uint8Array, context: CallContext) => {
      const { metadata, header, trailer } = context
      expect(metadata.get('x-text')).toBe('a, b')
      expect(metadata.getAll('x-raw-bin').map((value) => Buffer.from(value).toString('hex'))).toEqual([
        '00ff',
        '01',
      ])
      expect(
        [...metadata].map(([key]) => key).filter((key) => /^(:|grpc-|te$|content-type)/.test(key)),
      ).toEqual([])
      header.set('x-head', 'h').set('grpc-status', '9').set('content-type', 'x')
      trailer.set('x-tail-bin', Uint8Array.of(255, 0)).set('x-tail', ['a', 'b'])
      context.sendHeader()
      return request
    }
    await using setup = await echoServer({ One })
    const headers = { 'x-text': ['a', 'b'], 'x-raw-bin': 'AP8,AQ==', 'grpc-timeout': '1H' }
    const answer = await ask(setup.session, 'One', { headers })
    expect(answer).toMatchObject({
      headers: { ':status': 200, 'x-head': 'h', 'content-type': 'application/grpc' },
      trailers: { 'grpc-status': '0', 'x-tail-bin': '/wA=', 'x-tail': 'a, b' },
      messages: ['hello'],
    })
  })

  it.each([
    ['100 %, said Zoë\n', '100 %25, said Zo%C3%AB%0A'],
    ['plain', 'plain'],
    ['é'.repeat(10_000), '%C3%A9'.repeat(2000)],
  ])('ends with details as they may travel', async (details, expected) => {
    const fail = async (): Promise<never> => {
      throw new ServerError(Status.ABORTED, details)
    }
    await using setup = await echoServer({ One: fail })
    const { trailers } = await ask(setup.session, 'One')
    expect(trailers['grpc-status']).toBe(String(Status.ABORTED))
    expect(String(trailers['grpc-message']).startsWith(expected)).toBe(true)
    expect(String(trailers['grpc-message']).length).toBeLessThan(30_000)
  })

  it('that fails as nobody foresaw is told nothing, and reported', async () => {
    const reported: unknown[] = []
    const failure = new Error('secret')
    async function* Both(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('a')
      throw failure
    }
    await using setup = await echoServer({ Both }, { onError: (...args) => reported.push(args) })
    const answer = await ask(setup.session, 'Both')
    expect(answer).toMatchObject({
      messages: ['a'],
      trailers: { 'grpc-status': '2', 'grpc-message': 'internal error' },
    })
    expect(reported).toEqual([['test.Echo/Both', failure]])
  })
})

describe('middleware of the server', () => {
  const seen: string[] = []
  const naming = (name: string): ServerMiddleware =>
    async function* (call, context) {
      seen.push(`${name} ${call.method.path}`)
      context.trailer.append('x-way', name)
      return yield* call.next(call.request, context)
    }

  it.each(['One', 'Spread', 'Gather', 'Both'])('stands before every service, in order: %s', async (name) => {
    seen.length = 0
    await using setup = await echoServer({}, { extend: (to) => to.use(naming('outer')).use(naming('inner')) })
    const answer = await ask(setup.session, name)
    expect(answer.messages.join('')).toBe('hello')
    expect(answer.trailers).toMatchObject({ 'grpc-status': '0', 'x-way': 'outer, inner' })
    expect(seen).toEqual([`outer /test.Echo/${name}`, `inner /test.Echo/${name}`])
  })

  it.each(['One', 'Spread', 'Gather', 'Both'])('may refuse: %s', async (name) => {
    // biome-ignore lint/correctness/useYield: it lets nothing through
    const refuse: ServerMiddleware = async function* () {
      throw new ServerError(Status.UNAUTHENTICATED, 'who are you?')
    }
    await using setup = await echoServer({}, { extend: (to) => to.use(refuse) })
    const answer = await ask(setup.session, name)
    expect(answer).toMatchObject({
      messages: [],
      trailers: { 'grpc-status': '16', 'grpc-message': 'who are you?' },
    })
  })
})
