import { narBridge } from '@neve/nar-bridge'
import { serve } from '@neve/nar-bridge/server'
import { CachePathInfoService, MemoryPathInfoService, Store } from '@neve/store-pathinfo'
import { NixHttpPathInfoService } from '@neve/store-pathinfo/nix-http'
import { describe, expect, it } from 'vitest'
import { COMPLICATED, ingest, pathInfo } from './fixtures.js'
import { ask, memoryStore, served } from './support.js'

const NAME = 's66mzxpvicwk07gjbjfw9izjfa797vsw-hello'

describe('a cache in front of a cache', () => {
  it('fetches what it has not, once however many ask, and serves it when the other is gone', async () => {
    const origin = memoryStore()
    const { node } = await ingest(origin, COMPLICATED)
    await origin.pathInfos.put(pathInfo(NAME, node, COMPLICATED))
    const asked: string[] = []
    const server = await served(
      origin,
      {},
      { onAccess: ({ method, target }) => asked.push(`${method} ${target}`) },
    )
    const { blobs, directories } = memoryStore()
    const far = new NixHttpPathInfoService({ address: `nix+${server.url}`, blobs, directories, retries: 0 })
    const pathInfos = new CachePathInfoService({ near: new MemoryPathInfoService(), far })
    const bridge = narBridge(new Store({ blobs, directories, pathInfos }))
    const path = `/${NAME.slice(0, 32)}.narinfo`
    const near = await serve(bridge, { listen: '127.0.0.1:0' })
    const listing = `/${NAME.slice(0, 32)}.ls`
    const get = (i: number) =>
      i % 2 === 0 ? ask(bridge, path) : fetch(near.url + (i % 4 === 1 ? path : listing))
    const answers = await Promise.all(Array.from({ length: 40 }, (_, i) => get(i)))
    expect(answers.map(({ status }) => status)).toEqual(Array(40).fill(200))
    await near.close()
    await server.close()
    // Counted at the far side: whatever was asked for, and however often, one NAR was fetched.
    expect(asked.filter((one) => one.includes('/nar/')).length).toBe(1)
    expect(asked.filter((one) => one.includes('.narinfo')).length).toBe(1)
    const url = /^URL: (.*)$/m.exec(await answers[0]!.text())![1]
    expect(Buffer.from(await (await ask(bridge, `/${url}`)).arrayBuffer())).toEqual(COMPLICATED)
    expect((await ask(bridge, `/${'0'.repeat(32)}.narinfo`)).status).toBe(503)
  })
})
