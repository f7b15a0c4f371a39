import { MemoryObjectStore } from '@neve/castore-services/object-store'
import { narBridge } from '@neve/nar-bridge'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseSideFile } from '../src/side-files.js'
import { ask, memoryStore } from './support.js'

const LOG = '/log/ib3sh3pcz10wsmavxvkdbayhqivbghlq-hello-2.12.1.drv'
const DOI = `/realisations/sha256:${'0a'.repeat(32)}!out.doi`
const DEBUG = `/debuginfo/${'ab'.repeat(20)}.debug`

describe('files beside narinfo files', () => {
  it.each([
    [LOG, 'building\n', 'text/plain; charset=utf-8'],
    [DOI, '{"id":"x"}', 'application/json'],
    [DOI.replace('!', '%21'), '{"id":"x"}', 'application/json'],
    [DEBUG, '{"archive":"../nar/x.nar","member":"y"}', 'application/json'],
  ])('%s is as it was put, and lasts', async (path, body, type) => {
    const files = new MemoryObjectStore()
    const bridge = narBridge(memoryStore(), { files })
    expect((await ask(bridge, path)).status).toBe(404)
    expect((await ask(bridge, path, { method: 'PUT', body })).status).toBe(200)
    const response = await ask(narBridge(memoryStore(), { files }), path)
    expect(response.headers.get('content-type')).toBe(type)
    expect(response.headers.get('x-content-type-options')).toBe('nosniff')
    expect(await response.text()).toBe(body)
    const head = await ask(bridge, path, { method: 'HEAD' })
    expect([...head.headers]).toEqual([...response.headers])
  })

  it('an encoding of the way is told again, and others are refused', async () => {
    const bridge = narBridge(memoryStore())
    const put = (encoding: string) =>
      ask(bridge, LOG, { method: 'PUT', body: 'abc', headers: { 'content-encoding': encoding } })
    expect((await put('secret')).status).toBe(415)
    expect((await put('br')).status).toBe(200)
    expect((await ask(bridge, LOG)).headers.get('content-encoding')).toBe('br')
  })

  it('what is no JSON is 400, what is too long 413', async () => {
    const bridge = narBridge(memoryStore())
    expect((await ask(bridge, DOI, { method: 'PUT', body: '{' })).status).toBe(400)
    const long = new Uint8Array(70_000).fill(0x20)
    expect((await ask(bridge, DEBUG, { method: 'PUT', body: long })).status).toBe(413)
  })

  it.each([
    '/log/x',
    '/log/../nix-cache-info/y',
    '/log/%2e%2e%2fx.drv',
    '/log/%',
    '/log/',
    '/realisations/sha256:xyz!out.doi',
    '/realisations/x',
    '/debuginfo/xyz',
    '/debuginfo/ab/cd',
    '/other/x',
  ])('%s is 404', async (path) => {
    const bridge = narBridge(memoryStore())
    expect((await ask(bridge, path)).status).toBe(404)
    expect((await ask(bridge, path, { method: 'PUT', body: '{}' })).status).toBe(404)
  })

  it('no name has what a path must not have, whatever comes', () => {
    const paths = fc.oneof(
      fc.string(),
      fc
        .tuple(fc.constantFrom('log', 'realisations', 'debuginfo'), fc.string())
        .map((parts) => parts.join('/')),
    )
    fc.assert(
      fc.property(paths, (path) => {
        const name = parseSideFile(path)?.name ?? 'x'
        expect(name).toMatch(/^[A-Za-z0-9+._?=:!-]{1,300}$/)
      }),
    )
  })
})
