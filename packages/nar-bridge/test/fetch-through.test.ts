import { narBridge } from '@neve/nar-bridge'
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
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask(bridge, path)))
    expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(200))
    await server.close()
    expect(asked.filter((one) => one.includes('/nar/')).length).toBe(1)
    const url = /^URL: (.*)$/m.exec(await answers[0]!.text())![1]
    expect(Buffer.from(await (await ask(bridge, `/${url}`)).arrayBuffer())).toEqual(COMPLICATED)
    expect((await ask(bridge, `/${'0'.repeat(32)}.narinfo`)).status).toBe(503)
  })
})
