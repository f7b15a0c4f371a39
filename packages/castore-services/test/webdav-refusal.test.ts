import { type ObjectStore, openObjectStore } from '@neve/castore-services/object-store'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Fault, FaultProxy } from './servers/fault-proxy.js'

const KEY = 'chunks/b3/41f8/41f8'
const CONTENT = 'Hello World'
const REFUSED: Fault = {
  kind: 'status',
  status: 403,
  body: 'You don’t have permission to access this resource.',
}
const MISSING: Fault = { kind: 'status', status: 404 }
const READ: Fault = { kind: 'status', status: 200, body: CONTENT }
const FOUND: Fault = {
  kind: 'status',
  status: 207,
  headers: { 'content-type': 'text/xml; charset="utf-8"' },
  body: `<?xml version="1.0" encoding="utf-8"?><D:multistatus xmlns:D="DAV:"><D:response>
    <D:href>/base/${KEY}</D:href><D:propstat><D:prop><D:resourcetype/>
    <D:getcontentlength>${CONTENT.length}</D:getcontentlength>
    <D:getlastmodified>Sat, 21 Nov 2026 12:00:00 GMT</D:getlastmodified>
    </D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response></D:multistatus>`,
}

const READS: readonly (readonly [string, (store: ObjectStore) => Promise<Uint8Array | undefined>])[] = [
  ['the whole', (store) => store.get(KEY)],
  ['a range', (store) => store.get(KEY, { range: { offset: 0, length: CONTENT.length } })],
]

// Apache answers 403 where a file goes between its look at it and its opening it.
describe.each(READS)('a WebDAV server that forbids reading an object: %s', (_name, read) => {
  let server: FaultProxy
  let store: ObjectStore
  /** Answers each method from its list; the last one from then on. */
  const answer = (answers: Readonly<Record<string, readonly Fault[]>>): void => {
    const given = new Map<string, number>()
    server.fault = ({ method }) => {
      const number = given.get(method) ?? 0
      given.set(method, number + 1)
      const list = answers[method] ?? []
      return list[Math.min(number, list.length - 1)] ?? MISSING
    }
  }
  const methods = (): string[] => server.requests.map(({ method }) => method)
  beforeEach(async () => {
    server = await FaultProxy.start('http://127.0.0.1:9')
    store = await openObjectStore(`${server.origin}/base`, { max_retries: '0' })
  })
  afterEach(async () => {
    await store.close?.()
    await server.stop()
  })

  it('is believed not to have it when it says so', async () => {
    answer({ GET: [REFUSED], PROPFIND: [MISSING] })
    expect(await read(store)).toBeUndefined()
    expect(methods()).toEqual(['GET', 'PROPFIND'])
  })

  it('is asked once more when it has it', async () => {
    answer({ GET: [REFUSED, READ], PROPFIND: [FOUND] })
    expect(Buffer.from((await read(store)) ?? []).toString()).toBe(CONTENT)
    expect(methods()).toEqual(['GET', 'PROPFIND', 'GET'])
  })

  it('is believed when it forbids it again', async () => {
    answer({ GET: [REFUSED], PROPFIND: [FOUND] })
    await expect(read(store)).rejects.toMatchObject({
      code: 'storage',
      message: expect.stringContaining('status 403'),
    })
    expect(methods()).toEqual(['GET', 'PROPFIND', 'GET'])
  })
})
