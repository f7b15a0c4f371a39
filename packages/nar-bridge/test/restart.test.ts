import { join } from 'node:path'
import { FileObjectStore } from '@neve/castore-services/object-store'
import { EmbeddedStore } from '@neve/embedded-store'
import { type NarBridgeOptions, narBridge } from '@neve/nar-bridge'
import { serve } from '@neve/nar-bridge/server'
import { openLocalStore } from '@neve/store-pathinfo'
import { describe, expect, it } from 'vitest'
import { COMPLICATED, HELLOWORLD, narPath as nar, narInfo, SYMLINK } from './fixtures.js'
import { ask, temporaryFolder, temporaryStore } from './support.js'

const PATH = '00000000000000000000000000000000-dummy'

/** Does something with a server of the store in a folder, which is closed then, as if the process had ended. */
async function withServer<T>(
  folder: string,
  options: NarBridgeOptions,
  use: (ask: (path: string, body?: string | Uint8Array) => Promise<number>) => Promise<T>,
): Promise<T> {
  await using store = await openLocalStore(join(folder, 'store'))
  const files = new FileObjectStore({ root: join(folder, 'files') })
  await using server = await serve(narBridge(store, { files, ...options }), { listen: '127.0.0.1:0' })
  return await use(async (path, body) => {
    const sent = typeof body === 'object' ? new Uint8Array(body) : body
    const init = sent === undefined ? {} : { method: 'PUT', body: sent }
    const response = await fetch(server.url + path, init)
    await response.arrayBuffer()
    return response.status
  })
}

const NARINFO = `/${PATH.slice(0, 32)}.narinfo`

describe('NARs that were put', () => {
  it('are there after a restart, for their narinfo and for good', async () => {
    const folder = temporaryFolder()
    await withServer(folder, {}, async (ask) => expect(await ask(nar(COMPLICATED), COMPLICATED)).toBe(200))
    await withServer(folder, {}, async (ask) => {
      expect(await ask(NARINFO)).toBe(404)
      expect(await ask(NARINFO, narInfo(PATH, COMPLICATED))).toBe(200)
    })
    // Named ones do not expire.
    await withServer(folder, { uploadExpiry: 0 }, async (ask) => {
      expect([await ask(NARINFO), await ask(nar(COMPLICATED))]).toEqual([200, 200])
      expect(await ask(nar(SYMLINK), SYMLINK)).toBe(200)
      await expect.poll(() => ask(nar(SYMLINK))).toBe(404)
      expect(await ask(nar(COMPLICATED))).toBe(200)
    })
  })

  it('to one of several caches of a store are not there in another', async () => {
    const folder = temporaryFolder()
    await withServer(folder, { name: '/ours' }, async (ask) => {
      expect(await ask(nar(COMPLICATED), COMPLICATED)).toBe(200)
    })
    await withServer(folder, { uploadExpiry: 0 }, async (ask) => {
      expect(await ask(nar(COMPLICATED))).toBe(404)
      expect(await ask(nar(SYMLINK), SYMLINK)).toBe(200)
      await expect.poll(() => ask(nar(SYMLINK))).toBe(404)
    })
    await withServer(folder, { name: '/ours' }, async (ask) => expect(await ask(nar(COMPLICATED))).toBe(200))
  })

  it('and abandoned expire, whichever process they were put to', async () => {
    const folder = temporaryFolder()
    await withServer(folder, {}, async (ask) => {
      expect(await ask(nar(HELLOWORLD), HELLOWORLD)).toBe(200)
      expect(await ask(nar(HELLOWORLD))).toBe(200)
    })
    await withServer(folder, { uploadExpiry: 0 }, async (ask) => {
      // It looks for them when something else is put.
      expect(await ask(nar(HELLOWORLD))).toBe(200)
      expect(await ask(nar(SYMLINK), SYMLINK)).toBe(200)
      await expect.poll(() => ask(nar(HELLOWORLD))).toBe(404)
      expect(await ask(NARINFO, narInfo(PATH, HELLOWORLD))).toBe(400)
    })
    await withServer(folder, {}, async (ask) => expect(await ask(nar(HELLOWORLD))).toBe(404))
  })

  it('and that the garbage collector is about to remove are absent until they are put again', async () => {
    const store = await temporaryStore()
    const bridge = narBridge(store)
    const status = async (path: string, body?: string | Uint8Array) => {
      const sent = typeof body === 'object' ? new Uint8Array(body) : body
      return (await ask(bridge, path, sent === undefined ? {} : { method: 'PUT', body: sent })).status
    }
    expect(await status(nar(COMPLICATED), COMPLICATED)).toBe(200)
    expect(await status(nar(COMPLICATED))).toBe(200)
    {
      await using beside = await EmbeddedStore.open(store.engine.path)
      using collector = beside.collect()
      const keys = [...beside.keys('directories')].map((key) => Uint8Array.from(key))
      await collector.condemn(keys.map((key) => ({ what: 'directories' as const, key })))
    }
    expect(await store.engine.renewLease(async () => {})).toBe(true)
    expect(await status(nar(COMPLICATED))).toBe(404)
    expect(await status(NARINFO, narInfo(PATH, COMPLICATED))).toBe(400)
    expect(await status(nar(COMPLICATED), COMPLICATED)).toBe(200)
    expect(await status(NARINFO, narInfo(PATH, COMPLICATED))).toBe(200)
  })
})
