import { narBridge } from '@neve/nar-bridge'
import { encodeNixbase32, SecretKey } from '@neve/nix-compat'
import { openLocalStore, signPathInfo } from '@neve/store-pathinfo'
import { describe, expect, it } from 'vitest'
import { NarInfoCache } from '../src/narinfo-cache.js'
import { HELLOWORLD, pathInfo, SYMLINK_INFO } from './fixtures.js'
import { ask, temporaryStore } from './support.js'

const PATH = `/${encodeNixbase32(SYMLINK_INFO.storePath.digest)}.narinfo`

describe('a narinfo that was asked for before', () => {
  it('has the signatures that came since, whoever put them', async () => {
    const store = await temporaryStore()
    await store.pathInfos.put(SYMLINK_INFO)
    const bridge = narBridge(store)
    const text = async () => await (await ask(bridge, PATH)).text()
    const unsigned = await text()
    expect(unsigned).not.toContain('\nSig: ')
    expect(await text()).toBe(unsigned)
    // Another process has an engine of its own.
    await using other = await openLocalStore(store.engine!.path)
    const key = SecretKey.generate('other-1')
    await other.pathInfos.put(signPathInfo(SYMLINK_INFO, key))
    expect(await text()).toBe(`${unsigned}Sig: ${signPathInfo(SYMLINK_INFO, key).signatures[0]}\n`)
  })

  it('is the new one when it was replaced', async () => {
    const store = await temporaryStore()
    await store.pathInfos.put(SYMLINK_INFO)
    const bridge = narBridge(store)
    expect(await (await ask(bridge, PATH)).text()).toContain('\nNarSize: 136\n')
    const replaced = pathInfo(SYMLINK_INFO.storePath.toString(), SYMLINK_INFO.node, HELLOWORLD)
    await store.pathInfos.put(replaced, { overwrite: true })
    expect(await (await ask(bridge, PATH)).text()).toContain(`\nNarSize: ${HELLOWORLD.length}\n`)
  })

  it('is readable by its hash after thousands of others', async () => {
    const store = await temporaryStore()
    await store.pathInfos.put(SYMLINK_INFO)
    const bridge = narBridge(store)
    for (let i = 0; i < 2; i++) await ask(bridge, PATH)
    const url = `/nar/${encodeNixbase32(SYMLINK_INFO.narSha256)}.nar`
    expect((await ask(bridge, url)).status).toBe(200)
  })
})

describe('the cache of narinfo files', () => {
  const cached = (length: number) => ({
    entry: new Uint8Array(length),
    reply: { status: 200, headers: {}, body: '' },
    nar: { known: { node: SYMLINK_INFO.node, narSize: 1n }, hash: '', text: '' },
  })

  it('is bounded in bytes, and forgets what was not used for longest', () => {
    const cache = new NarInfoCache(10 * 1024)
    for (const key of ['a', 'b', 'c']) cache.set(key, cached(2048))
    expect(cache.get('a', new Uint8Array(2048))).toBeDefined()
    cache.set('d', cached(2048))
    expect(cache.get('b', new Uint8Array(2048))).toBeUndefined()
    for (const key of ['a', 'c', 'd']) expect(cache.get(key, new Uint8Array(2048))).toBeDefined()
    cache.set('e', cached(20_000))
    for (const key of ['a', 'c', 'd', 'e']) expect(cache.get(key, new Uint8Array(2048))).toBeUndefined()
  })

  it('gives nothing that was made of other bytes, and counts them no more', () => {
    const cache = new NarInfoCache(5000)
    cache.set('a', cached(3000))
    expect(cache.get('a', new Uint8Array(3000).fill(1))).toBeUndefined()
    cache.set('b', cached(3000))
    expect(cache.get('b', new Uint8Array(3000))).toBeDefined()
  })
})
