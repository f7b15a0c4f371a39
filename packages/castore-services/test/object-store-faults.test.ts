import { type ObjectStore, openObjectStore } from '@neve/castore-services/object-store'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { APACHE } from './servers/apache.js'
import { AZURE_KEY, AZURITE } from './servers/azurite.js'
import { FAKE_GCS_SERVER } from './servers/fake-gcs-server.js'
import { type Fault, FaultProxy, type SeenRequest } from './servers/fault-proxy.js'
import { describeWithServer, newPrefix } from './servers/object-server.js'
import { S3_SECRET, VERSITYGW } from './servers/versitygw.js'

const KEY = 'chunks/b3/41f8/41f8394111eb713a22165c46c90ab8f0fd9399c92028fd6d288944b23ff5bf76'
const CONTENT = Buffer.alloc(100_000, 'Hello World')
const NONE: Fault = { kind: 'none' }

/** What goes away when one tries again. */
const PASSING: readonly (readonly [string, Fault])[] = [
  ['500', { kind: 'status', status: 500, body: 'oops' }],
  ['502', { kind: 'status', status: 502 }],
  ['503', { kind: 'status', status: 503, body: '<Error><Code>SlowDown</Code></Error>' }],
  ['504', { kind: 'status', status: 504 }],
  ['429', { kind: 'status', status: 429, body: 'slow down' }],
  ['408', { kind: 'status', status: 408 }],
  ['a connection cut before the server saw the request', { kind: 'reset', after: 'nothing' }],
  ['a connection cut before the answer', { kind: 'reset', after: 'request' }],
  ['silence', { kind: 'silence' }],
]

const CALLS: readonly (readonly [string, (store: ObjectStore) => Promise<unknown>, unknown])[] = [
  ['head', async (store) => (await store.head(KEY))?.size, CONTENT.length],
  ['get', async (store) => same(await store.get(KEY), CONTENT), true],
  [
    'get of a range',
    async (store) => same(await store.get(KEY, { range: { offset: 6, length: 5 } }), CONTENT.subarray(6, 11)),
    true,
  ],
  ['put', (store) => store.put('new', CONTENT), undefined],
  ['putIfAbsent', (store) => store.putIfAbsent('new', CONTENT), true],
  ['putIfAbsent of another object that is there', (store) => store.putIfAbsent(KEY, Buffer.from('a')), false],
  ['list', (store) => keys(store, 'chunks/'), [KEY]],
  ['delete', (store) => store.delete('old'), undefined],
]

for (const kind of [VERSITYGW, FAKE_GCS_SERVER, AZURITE, APACHE]) {
  describeWithServer(kind, (server) => {
    let proxy: FaultProxy
    let store: ObjectStore
    let direct: ObjectStore
    const open = async (url: string, extra: Readonly<Record<string, string>>) => {
      const at = kind === APACHE ? url.replace(server().origin, proxy.origin) : url
      const options = { max_retries: '3', retry_delay: '1ms', timeout: '500ms' }
      return openObjectStore(at, { ...server().optionsAt(proxy.origin), ...options, ...extra })
    }
    let url: string
    beforeEach(async () => {
      proxy = await FaultProxy.start(server().origin)
      url = server().url(newPrefix())
      direct = await openObjectStore(url, server().options)
      store = await open(url, {})
      await direct.put(KEY, CONTENT)
      await direct.put('old', CONTENT)
    })
    afterEach(async () => {
      await proxy.stop()
      await store.close?.()
      await direct.close?.()
    })

    describe.each(PASSING)('%s, twice', (_name, fault) => {
      it.each(CALLS)('is overcome: %s', async (name, call, expected) => {
        // A store without conditions cannot tell its own lost write from somebody else's.
        const unsure = kind === APACHE && name === 'putIfAbsent' && fault.kind === 'reset'
        let faults = 0
        proxy.fault = () => (faults++ < 2 ? fault : NONE)
        const outcome = await call(store)
        if (!unsure) expect(outcome).toEqual(expected)
        expect(proxy.requests.length).toBeGreaterThan(2)
        if (name.startsWith('put') && !name.endsWith('there')) {
          expect(same(await direct.get('new'), CONTENT)).toBe(true)
        }
        expect(same(await direct.get(KEY), CONTENT)).toBe(true)
      })
    })

    it.each(CALLS)('gives up when it does not pass: %s', async (_name, call) => {
      proxy.fault = () => ({ kind: 'status', status: 503, body: 'not now' })
      await expect(call(store)).rejects.toMatchObject({ name: 'CastoreError', code: 'unavailable' })
      expect(proxy.requests).toHaveLength(4)
    })

    it.each(CALLS)('gives up when nobody listens: %s', async (_name, call) => {
      await proxy.stop()
      await expect(call(store)).rejects.toMatchObject({ name: 'CastoreError', code: 'unavailable' })
    })

    it.each(CALLS)('does not try again what is refused: %s', async (_name, call) => {
      proxy.fault = () => ({ kind: 'status', status: 403, body: 'no' })
      await expect(call(store)).rejects.toMatchObject({ name: 'CastoreError', code: 'storage' })
      // One more where the answer may mean something else: that a folder is there already, or is an object.
      expect(proxy.requests.length).toBeLessThanOrEqual(kind === APACHE ? 2 : 1)
    })

    it.each([0, 1, 50_000, 99_999])('never gives a part of an object: cut after %i bytes', async (bytes) => {
      const isGet = ({ method }: SeenRequest) => method === 'GET'
      let faults = 0
      proxy.fault = (seen) => (isGet(seen) && faults++ < 1 ? { kind: 'cut', bytes } : NONE)
      expect(same(await store.get(KEY), CONTENT)).toBe(true)
      faults = 0
      const range = { offset: 0, length: CONTENT.length }
      expect(same(await store.get(KEY, { range }), CONTENT)).toBe(true)
      proxy.fault = (seen) => (isGet(seen) ? { kind: 'cut', bytes } : NONE)
      await expect(store.get(KEY)).rejects.toMatchObject({ code: 'unavailable' })
      await expect(store.get(KEY, { range })).rejects.toMatchObject({ code: 'unavailable' })
    })

    it('waits as long as it is told to', async () => {
      proxy.fault = (_seen, number) =>
        number === 0 ? { kind: 'status', status: 503, headers: { 'retry-after': '1' } } : NONE
      const begin = performance.now()
      await store.head(KEY)
      expect(performance.now() - begin).toBeGreaterThan(950)
    })

    it('can be cancelled while it waits to try again', async () => {
      const patient = await open(url, { retry_delay: '60s' })
      proxy.fault = () => ({ kind: 'status', status: 500 })
      const controller = new AbortController()
      const reason = new Error('not wanted any more')
      const call = patient.get(KEY, { signal: controller.signal })
      setTimeout(() => controller.abort(reason), 50)
      await expect(call).rejects.toBe(reason)
    })

    it('can be cancelled while nobody answers', async () => {
      proxy.fault = () => ({ kind: 'silence' })
      const controller = new AbortController()
      const reason = new Error('not wanted any more')
      const call = store.put(KEY, CONTENT, { signal: controller.signal })
      setTimeout(() => controller.abort(reason), 50)
      await expect(call).rejects.toBe(reason)
    })

    it('makes no more requests at once than it may', async () => {
      const narrow = await open(url, { max_concurrency: '3' })
      await Promise.all(Array.from({ length: 30 }, () => narrow.get(KEY)))
      expect(proxy.mostRunning).toBeLessThanOrEqual(3)
      expect(proxy.mostRunning).toBeGreaterThan(1)
    })

    it('does not tell secrets', async () => {
      const secrets = [S3_SECRET, AZURE_KEY, 'hush-hush']
      const leaky = secrets.flatMap((secret) => [secret, encodeURIComponent(secret)]).join(' ')
      for (const status of [400, 403, 500]) {
        proxy.fault = () => ({ kind: 'status', status, body: leaky })
        for (const [, call] of CALLS) {
          const error = await call(store).catch((error: unknown) => error)
          expect(error).toBeInstanceOf(Error)
          const { message, cause, stack } = error as Error
          expect(cause).toBeUndefined()
          for (const secret of Object.values(server().options).filter((value) => secrets.includes(value))) {
            expect(message).not.toContain(secret)
            expect(stack).not.toContain(secret)
          }
        }
      }
    })
  })
}

function same(found: Uint8Array | undefined, expected: Uint8Array): boolean {
  return found !== undefined && Buffer.compare(found, expected) === 0
}

async function keys(store: ObjectStore, prefix: string): Promise<string[]> {
  const found: string[] = []
  for await (const { key } of store.list(prefix)) found.push(key)
  return found
}
