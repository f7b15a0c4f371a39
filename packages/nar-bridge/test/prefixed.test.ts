import { narBridge, prefixed } from '@neve/nar-bridge'
import { serve } from '@neve/nar-bridge/server'
import { SecretKey } from '@neve/nix-compat'
import { describe, expect, it } from 'vitest'
import { COMPLICATED, fileHash, ingest, pathInfo, SYMLINK_INFO } from './fixtures.js'
import { ask, memoryStore } from './support.js'

const NAME = '00000000000000000000000000000000'
const tokens = (token: string) => ({
  accessOf: (header: string | undefined) => (header === `Bearer ${token}` ? ('write' as const) : undefined),
})

async function several() {
  const [one, two] = [memoryStore(), memoryStore()]
  const key = SecretKey.generate('two-1')
  await one.pathInfos.put(SYMLINK_INFO)
  const handler = prefixed([
    { prefix: '/one', handler: narBridge(one, { priority: 10, readOnly: true }) },
    {
      prefix: '/one/two',
      handler: narBridge(two, { signKeys: [key], tokens: tokens('2'), publicRead: true }),
    },
    { prefix: '/three', handler: narBridge(two, { tokens: tokens('3'), priority: 50 }) },
  ])
  return { handler, one, two, key }
}

describe('caches below prefixes', () => {
  it.each([
    ['/one/nix-cache-info', 200],
    ['/one', 307],
    ['/one?q=x', 307],
    ['/one/two/nix-cache-info', 200],
    ['/onetwo/nix-cache-info', 404],
    ['/one/twox/nix-cache-info', 404],
    ['/three/nix-cache-info', 401],
    ['/nix-cache-info', 404],
    ['/', 404],
    ['/one//two/nix-cache-info', 404],
    ['/one/%74wo/nix-cache-info', 404],
    ['/one/../three/nix-cache-info', 401],
  ])('%s is %i', async (path, status) => {
    const { handler } = await several()
    expect((await ask(handler, path)).status).toBe(status)
  })

  it('have their own contents, priorities and rights', async () => {
    const { handler, two, key } = await several()
    expect(await (await ask(handler, '/one/nix-cache-info')).text()).toContain('Priority: 10\n')
    expect((await ask(handler, `/one/${NAME}.narinfo`)).status).toBe(200)
    expect((await ask(handler, `/one/two/${NAME}.narinfo`)).status).toBe(404)
    const put = (prefix: string, token: string) =>
      ask(handler, `${prefix}/nar/${fileHash(COMPLICATED)}.nar`, {
        method: 'PUT',
        body: new Uint8Array(COMPLICATED),
        headers: { authorization: `Bearer ${token}` },
      }).then(({ status }) => status)
    expect([await put('/one', '2'), await put('/one/two', '3'), await put('/three', '2')]).toEqual([
      403, 401, 401,
    ])
    expect(await put('/one/two', '2')).toBe(200)
    const { node } = await ingest(two, COMPLICATED)
    await two.pathInfos.put(pathInfo(`${NAME}-x`, node, COMPLICATED))
    const narinfo = await (await ask(handler, `/one/two/${NAME}.narinfo`)).text()
    expect(narinfo).toContain(`\nSig: ${key.name}:`)
    const url = /^URL: (.*)$/m.exec(narinfo)![1]!
    const body = await (await ask(handler, `/one/two/${url}`)).arrayBuffer()
    expect(Buffer.from(body)).toEqual(COMPLICATED)
  })

  it('with public reading ask for a token where something is put, and refuse a wrong one', async () => {
    const { handler } = await several()
    const status = async (init: RequestInit) => (await ask(handler, '/one/two/nix-cache-info', init)).status
    expect(await status({})).toBe(200)
    expect(await status({ headers: { authorization: 'Bearer wrong' } })).toBe(401)
    expect(await status({ method: 'PUT', body: 'x' })).toBe(401)
  })

  it('tell on their page where they are', async () => {
    const { handler } = await several()
    await using server = await serve(handler, { listen: '127.0.0.1:0' })
    const page = await fetch(`${server.url}/one`)
    expect(page.url).toBe(`${server.url}/one/`)
    expect(await page.text()).toContain(`extra-substituters = ${server.url}/one<`)
  })

  it.each(['one', '/one/', '/a//b', '/ä'])('%s is no prefix', (prefix) => {
    expect(() => prefixed([{ prefix, handler: narBridge(memoryStore()) }])).toThrow(TypeError)
  })

  it('cannot be at the same place', () => {
    const handler = narBridge(memoryStore())
    expect(() =>
      prefixed([
        { prefix: '', handler },
        { prefix: '', handler },
      ]),
    ).toThrow(/each prefix once/)
  })
})
