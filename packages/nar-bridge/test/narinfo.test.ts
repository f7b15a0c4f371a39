import { narBridge } from '@neve/nar-bridge'
import { SecretKey, Signature } from '@neve/nix-compat'
import { describe, expect, it } from 'vitest'
import { COMPLICATED, ingest, pathInfo, SYMLINK_INFO } from './fixtures.js'
import { ask, memoryStore, temporaryStore } from './support.js'

const NOTHING = '00000000000000000000000000000000'
const NARINFO = `StorePath: /nix/store/00000000000000000000000000000000-dummy
URL: nar/snix-castore/GhoSGC9uaXgvc3RvcmUvc29tZXdoZXJlZWxzZQ?narsize=136
Compression: none
FileSize: 136
NarHash: sha256:1wcwacrb5q36hpsx1shk0dkm26hwbmqmgi0nm973h9jqkdz3jz89
NarSize: 136
References: 
`

async function withSymlink() {
  const store = memoryStore()
  await store.pathInfos.put(SYMLINK_INFO)
  return store
}

describe('nix-cache-info', () => {
  it('says what the cache is, with the priority that was given', async () => {
    const bridge = narBridge(memoryStore(), { priority: 17 })
    const response = await ask(bridge, '/nix-cache-info')
    expect(response.headers.get('content-type')).toBe('text/x-nix-cache-info')
    expect(await response.text()).toBe('StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 17\n')
  })

  it('has priority 39 by default', async () => {
    expect(await (await ask(narBridge(memoryStore()), '/nix-cache-info')).text()).toContain('Priority: 39\n')
  })
})

describe('narinfo', () => {
  it.each(['narinfo', 'ls'])('08#10f: %s of what is not there is 404', async (kind) => {
    const bridge = narBridge(memoryStore())
    for (const method of ['GET', 'HEAD']) {
      expect((await ask(bridge, `/${NOTHING}.${kind}`, { method })).status).toBe(404)
    }
  })

  it('08#10g: is the text of spec 07 section 11.5 e', async () => {
    const response = await ask(narBridge(await withSymlink()), `/${NOTHING}.narinfo`)
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toBe('text/x-nix-narinfo')
    expect(await response.text()).toBe(NARINFO)
  })

  it('08#10g: HEAD has the headers of GET and no body', async () => {
    const bridge = narBridge(await withSymlink())
    for (const path of [`/${NOTHING}.narinfo`, `/${NOTHING}.ls`, '/nix-cache-info']) {
      const [get, head] = [await ask(bridge, path), await ask(bridge, path, { method: 'HEAD' })]
      expect(head.status).toBe(200)
      expect([...head.headers]).toEqual([...get.headers])
      expect(await head.text()).toBe('')
      expect((await get.text()).length).toBeGreaterThan(0)
    }
  })

  it.each([
    ['none', 'none'],
    ['zstd', 'zstd'],
    ['auto', 'none'],
  ] as const)('compression %s of a store without frames offers %s', async (compression, offered) => {
    const bridge = narBridge(await withSymlink(), { compression })
    const text = await (await ask(bridge, `/${NOTHING}.narinfo`)).text()
    expect(text).toContain(`\nCompression: ${offered}\n`)
    expect(text.includes('.nar.zst?narsize=136\n')).toBe(offered === 'zstd')
  })

  it('compression auto of an embedded store offers zstd', async () => {
    const store = await temporaryStore()
    await store.pathInfos.put(SYMLINK_INFO)
    expect(await (await ask(narBridge(store), `/${NOTHING}.narinfo`)).text()).toContain('Compression: zstd')
  })

  it('carries the signatures of the server, in the place of wrong ones under its name', async () => {
    const key = SecretKey.generate('ours')
    const store = memoryStore()
    const signatures = [new Signature('other', new Uint8Array(64)), new Signature('ours', new Uint8Array(64))]
    await store.pathInfos.put({ ...SYMLINK_INFO, signatures })
    const bridge = narBridge(store, { signKeys: [key] })
    const first = await (await ask(bridge, `/${NOTHING}.narinfo`)).text()
    const sigs = [...first.matchAll(/^Sig: (.*)$/gm)].map(([, text]) => Signature.parse(text!))
    expect(sigs.map(({ name }) => name)).toEqual(['other', 'ours'])
    const fingerprint = `1;/nix/store/${NOTHING}-dummy;sha256:1wcwacrb5q36hpsx1shk0dkm26hwbmqmgi0nm973h9jqkdz3jz89;136;`
    expect(key.publicKey.verify(fingerprint, sigs[1]!)).toBe(true)
    expect(await (await ask(bridge, `/${NOTHING}.narinfo`)).text()).toBe(first)
  })
})

describe('listing', () => {
  it('08#10g: is the one of spec 07 section 11.7', async () => {
    const response = await ask(narBridge(await withSymlink()), `/${NOTHING}.ls`)
    expect(response.headers.get('content-type')).toBe('application/json')
    expect(await response.text()).toBe(
      '{"root":{"target":"/nix/store/somewhereelse","type":"symlink"},"version":1}',
    )
  })

  it('tells where things are in the archive', async () => {
    const store = memoryStore()
    const { node } = await ingest(store, COMPLICATED)
    await store.pathInfos.put(pathInfo(`${NOTHING}-complicated`, node, COMPLICATED))
    const listing = JSON.parse(await (await ask(narBridge(store), `/${NOTHING}.ls`)).text())
    expect(listing.root.entries['.keep']).toEqual({ narOffset: 232, size: 0, type: 'regular' })
    expect(listing.root.entries.keep.entries['.keep'].narOffset).toBe(760)
  })
})

describe('what is not there', () => {
  it.each([
    '/index.html',
    '/s66mzxpvicwk07gjbjfw9izjfa797vsw.narinfo.narinfo',
    '/eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee.narinfo',
    '/s66mzxpvicwk07gjbjfw9izjfa797vs.narinfo',
    '//00000000000000000000000000000000.narinfo',
    '/00000000000000000000000000000000.narinfo/',
    '/nar',
    '/nar/',
    '/nar/../nix-cache-info/x',
  ])('%s is 404', async (path) => {
    const response = await ask(narBridge(await withSymlink()), path)
    expect(response.status).toBe(404)
  })

  it.each(['/nix-cache-info', '/'])('PUT to %s is 405', async (path) => {
    const response = await ask(narBridge(memoryStore()), path, { method: 'PUT', body: 'x' })
    expect(response.status).toBe(405)
    expect(response.headers.get('allow')).toBe('GET, HEAD')
  })
})
