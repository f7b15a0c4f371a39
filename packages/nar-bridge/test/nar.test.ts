import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { encodeNode } from '@neve/castore-model'
import { type NarBridgeOptions, narBridge } from '@neve/nar-bridge'
import { formatInfusedNar } from '@neve/store-pathinfo'
import { describe, expect, it } from 'vitest'
import { COMPLICATED, fileHash, HELLOWORLD, ingest, SYMLINK, SYMLINK_INFO, SYMLINK_NODE } from './fixtures.js'
import { PrivateNix, programIsThere } from './private-nix.js'
import { ask, collect, memoryStore, served, temporaryFolder, temporaryStore } from './support.js'

const LINK = 'GhoSGC9uaXgvc3RvcmUvc29tZXdoZXJlZWxzZQ'

async function complicated() {
  const store = memoryStore()
  const { node } = await ingest(store, COMPLICATED)
  return { bridge: narBridge(store), path: `/${formatInfusedNar({ node, narSize: 840n })}` }
}

describe('NARs by their contents', () => {
  it('08#10a: no node is 404, no size is 400, a node that is none is 404', async () => {
    const bridge = narBridge(memoryStore())
    const invalid = Buffer.from('\x0a\x0d\x12\x0binvalid b64', 'latin1').toString('base64url')
    const cases = [
      ['/nar/snix-castore/', 404],
      ['/nar/snix-castore/?narsize=136', 404],
      [`/nar/snix-castore/${LINK}`, 400],
      [`/nar/snix-castore/${LINK}.nar.zst`, 400],
      [`/nar/snix-castore/${LINK}?narsize=x`, 400],
      [`/nar/snix-castore/${invalid}?narsize=136`, 404],
      [`/nar/snix-castore/${invalid}`, 404],
      [`/nar/snix-castore/${'A'.repeat(6000)}?narsize=1`, 404],
    ] as const
    for (const method of ['GET', 'HEAD']) {
      for (const [path, status] of cases) expect((await ask(bridge, path, { method })).status).toBe(status)
    }
  })

  it.each(['snix', 'tvix'])('08#10a: a symlink under the name of %s', async (generation) => {
    const bridge = narBridge(memoryStore())
    const path = `/nar/${generation}-castore/${LINK}?narsize=136`
    const response = await ask(bridge, path)
    expect(response.status).toBe(200)
    expect(response.headers.get('cache-control')).toContain('max-age=31536000, immutable')
    expect(Buffer.from(await response.arrayBuffer())).toEqual(SYMLINK)
    const head = await ask(bridge, path, { method: 'HEAD' })
    expect([...head.headers]).toEqual([...response.headers])
    expect(head.headers.get('content-length')).toBe('136')
    expect(await head.text()).toBe('')
  })

  it.each(['GET', 'HEAD'])('%s with a size that is not the right one is refused', async (method) => {
    const { bridge, path } = await complicated()
    for (const size of ['839', '841', '0', '18446744073709551615']) {
      const response = await ask(bridge, path.replace('840', size), { method })
      expect(response.status).toBe(400)
    }
  })

  it('is 404 where the contents are not there', async () => {
    const store = memoryStore()
    for (const archive of [COMPLICATED, HELLOWORLD]) {
      const { node, narSize } = await ingest(store, archive)
      const path = `/${formatInfusedNar({ node, narSize })}`
      for (const method of ['GET', 'HEAD']) {
        expect((await ask(narBridge(memoryStore()), path, { method })).status).toBe(404)
        expect((await ask(narBridge(store), path, { method })).status).toBe(200)
      }
    }
  })

  it.each(['memory', 'embedded'])('comes as zstd from %s', async (kind) => {
    const store = kind === 'memory' ? memoryStore() : await temporaryStore()
    const { node } = await ingest(store, COMPLICATED)
    const path = `/${formatInfusedNar({ node, narSize: 840n }).replace('?', '.nar.zst?')}`
    const response = await ask(narBridge(store), path)
    expect(response.headers.get('content-type')).toBe('application/zstd')
    const body = Buffer.from(await response.arrayBuffer())
    const { decompressed } = await import('@neve/castore-services/ingest/archive')
    const source = (async function* () {
      yield body
    })()
    expect(await collect(decompressed(source))).toEqual(COMPLICATED)
    const head = await ask(narBridge(store), path, { method: 'HEAD' })
    expect([...head.headers]).toEqual([...response.headers])
  })
})

describe('NARs encoded on their way', () => {
  const encoded = (headers: Record<string, string>) => ({
    headers: { 'accept-encoding': 'gzip, zstd', ...headers },
  })

  async function embedded(options: NarBridgeOptions = {}) {
    const store = await temporaryStore()
    const { node } = await ingest(store, COMPLICATED)
    return { bridge: narBridge(store, options), path: `/${formatInfusedNar({ node, narSize: 840n })}` }
  }

  it('are the zstd stream of the same NAR, with a tag of their own', async () => {
    const { bridge, path } = await embedded()
    const [plain, sent] = [await ask(bridge, path), await ask(bridge, path, encoded({}))]
    const of = (name: string) => [plain.headers.get(name), sent.headers.get(name)]
    expect(of('content-encoding')).toEqual([null, 'zstd'])
    expect(of('content-type')).toEqual(Array(2).fill('application/x-nix-nar'))
    expect(of('vary')).toEqual(Array(2).fill('accept-encoding'))
    expect(of('content-length')).toEqual(['840', null])
    expect(new Set(of('etag')).size).toBe(2)
    const { decompressed } = await import('@neve/castore-services/ingest/archive')
    expect(await collect(decompressed(sent.body!))).toEqual(COMPLICATED)
    const head = await ask(bridge, path, { method: 'HEAD', ...encoded({}) })
    expect([...head.headers]).toEqual([...sent.headers])
    const again = await ask(bridge, path, encoded({ 'if-none-match': sent.headers.get('etag')! }))
    expect(again.status).toBe(304)
  })

  it.each([
    ['a range is asked for', { range: 'bytes=0-9' }, {}],
    ['the client does not take it', { 'accept-encoding': 'gzip, br' }, {}],
    ['the client takes anything but it', { 'accept-encoding': 'zstd; q=0.000, *' }, {}],
    ['the client says too much', { 'accept-encoding': `${'x,'.repeat(1000)}zstd` }, {}],
    ['compression is none', {}, { compression: 'none' }],
  ] as const)('not where %s', async (_, headers, options) => {
    const { bridge, path } = await embedded(options)
    const response = await ask(bridge, path, encoded(headers))
    expect(response.headers.get('content-encoding')).toBe(null)
    const body = Buffer.from(await response.arrayBuffer())
    expect(body.equals(COMPLICATED.subarray(0, response.status === 206 ? 10 : 840))).toBe(true)
  })

  it('not from a store without frames, unless compression is zstd', async () => {
    const store = memoryStore()
    const { node } = await ingest(store, COMPLICATED)
    const path = `/${formatInfusedNar({ node, narSize: 840n })}`
    const encoding = async (options: NarBridgeOptions) =>
      (await ask(narBridge(store, options), path, encoded({}))).headers.get('content-encoding')
    expect([await encoding({}), await encoding({ compression: 'zstd' })]).toEqual([null, 'zstd'])
  })

  it.skipIf(!programIsThere('curl'))('curl undoes it', async () => {
    const store = await temporaryStore()
    const { node } = await ingest(store, COMPLICATED)
    const { url } = await served(store)
    const target = `${url}/${formatInfusedNar({ node, narSize: 840n })}`
    const file = join(temporaryFolder(), 'nar')
    const ran = await new PrivateNix().run('curl', '-sS', '--compressed', '-D', '-', '-o', file, target)
    expect(ran.toLowerCase()).toContain('content-encoding: zstd')
    expect(readFileSync(file)).toEqual(COMPLICATED)
  })
})

describe('parts of NARs', () => {
  it.each([
    ['bytes=0-9', 0, 10],
    ['bytes=830-', 830, 840],
    ['bytes=-40', 800, 840],
    ['bytes=232-5000', 232, 840],
  ])('%s', async (range, start, end) => {
    const { bridge, path } = await complicated()
    const response = await ask(bridge, path, { headers: { range } })
    expect(response.status).toBe(206)
    expect(response.headers.get('content-range')).toBe(`bytes ${start}-${end - 1}/840`)
    expect(response.headers.get('content-length')).toBe(`${end - start}`)
    expect(Buffer.from(await response.arrayBuffer())).toEqual(COMPLICATED.subarray(start, end))
  })

  it('nothing in it is 416, with the size', async () => {
    const { bridge, path } = await complicated()
    const response = await ask(bridge, path, { headers: { range: 'bytes=840-' } })
    expect(response.status).toBe(416)
    expect(response.headers.get('content-range')).toBe('bytes */840')
  })

  it.each(['bytes=0-1,5-6', 'lines=0-1', 'bytes=9-1'])('%s gives the whole', async (range) => {
    const { bridge, path } = await complicated()
    const response = await ask(bridge, path, { headers: { range } })
    expect(response.status).toBe(200)
    expect(Buffer.from(await response.arrayBuffer())).toEqual(COMPLICATED)
  })

  it('If-Range decides between the part and the whole, and If-None-Match saves it all', async () => {
    const { bridge, path } = await complicated()
    const etag = (await ask(bridge, path, { method: 'HEAD' })).headers.get('etag')!
    expect(etag).toMatch(/^"[0-9a-z]{32}"$/)
    const asked = (headers: Record<string, string>) => ask(bridge, path, { headers })
    expect((await asked({ range: 'bytes=0-1', 'if-range': etag })).status).toBe(206)
    expect((await asked({ range: 'bytes=0-1', 'if-range': '"other"' })).status).toBe(200)
    expect((await asked({ range: 'bytes=0-1', 'if-range': `W/${etag}` })).status).toBe(200)
    for (const tags of [etag, `W/${etag}`, `"a", ${etag}`, '*']) {
      const response = await asked({ 'if-none-match': tags })
      expect(response.status).toBe(304)
      expect(response.headers.get('etag')).toBe(etag)
      expect(await response.text()).toBe('')
    }
    expect((await asked({ 'if-none-match': '"other"' })).status).toBe(200)
  })
})

describe('NARs by their hash', () => {
  it.each(['GET', 'HEAD'])('08#11: are there after %s of the narinfo', async (method) => {
    const store = memoryStore()
    await store.pathInfos.put(SYMLINK_INFO)
    const bridge = narBridge(store)
    const path = `/nar/${fileHash(SYMLINK)}.nar`
    expect((await ask(bridge, path)).status).toBe(404)
    await ask(bridge, '/00000000000000000000000000000000.narinfo', { method })
    const response = await ask(bridge, path)
    expect(response.status).toBe(200)
    expect(Buffer.from(await response.arrayBuffer())).toEqual(SYMLINK)
    expect((await ask(bridge, path, { method: 'HEAD' })).headers.get('content-length')).toBe('136')
    expect((await ask(bridge, `${path}.xz`)).status).toBe(404)
  })
})

describe('the node of a URL', () => {
  it('is the one that was encoded', () => {
    const text = Buffer.from(encodeNode(new Uint8Array(0), SYMLINK_NODE)).toString('base64url')
    expect(text).toBe(LINK)
  })
})
