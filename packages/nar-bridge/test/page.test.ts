import { connect } from 'node:http2'
import { SecretKey } from '@neve/nix-compat'
import type { LocalStore } from '@neve/store-pathinfo'
import { beforeAll, describe, expect, it } from 'vitest'
import { BYTES, importSite, NASTY } from './page-fixtures.js'
import { memoryStore, served, temporaryStore } from './support.js'

let store: LocalStore
let site: string
let at: string
beforeAll(async () => {
  store = await temporaryStore()
  site = await importSite(store)
  at = (await served(store)).url
})

interface Facts {
  readonly paths: readonly { readonly path: string }[]
  readonly entries: readonly { readonly name: string; readonly nameBase64?: string }[]
}
const json = async (response: Promise<Response>) => (await (await response).json()) as Facts

const get = (path: string, init?: RequestInit) => fetch(`${at}${path}`, { redirect: 'manual', ...init })
const text = async (path: string) => (await get(path)).text()

describe('the first page', () => {
  it('says what to write into nix.conf', async () => {
    const key = SecretKey.generate('here-1')
    const { url } = await served(store, { signKeys: [key], priority: 7 })
    const response = await fetch(url)
    expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8')
    const page = await response.text()
    expect(page).toContain(`extra-substituters = ${url}\n`)
    expect(page).toContain(`extra-trusted-public-keys = ${key.publicKey.toString()}`)
    expect(page).toContain('Priority 7')
    expect(page).toContain(`href="./nix/store/${site}"`)
  })

  it('takes no address from a header that is none', async () => {
    const { bridge } = await served(store)
    const headers = { host: 'x"><script>alert(1)</script>' }
    const page = await (await bridge(new Request('http://x/', { headers }))).text()
    expect(page).toContain('extra-substituters = http://cache.example.org\n'.trimEnd())
    expect(page).not.toContain('<script')
  })

  it('says its address over HTTP/2, over TLS and behind a proxy that adds it', async () => {
    const { url, bridge } = await served(store)
    const session = connect(url)
    const stream = session.request({ ':path': '/' })
    let page = ''
    for await (const piece of stream.setEncoding('utf8')) page += piece
    session.close()
    expect(page).toContain(`extra-substituters = ${url}<`)
    const secure = await bridge(new Request('https://cache.example:444/'))
    expect(await secure.text()).toContain('extra-substituters = https://cache.example:444<')
    const proxied = await fetch(url, { headers: { 'x-forwarded-proto': 'https' } })
    expect(await proxied.text()).toContain(`extra-substituters = ${url.replace('http:', 'https:')}<`)
  })

  it('lets nothing run that is not its own', async () => {
    const policy = (await get('/')).headers.get('content-security-policy')!
    expect(policy).toContain("default-src 'none'")
    expect(policy).not.toMatch(/script-src|unsafe|\*/)
  })

  it('can be turned off', async () => {
    const { url } = await served(store, { page: false })
    expect(await (await fetch(url)).text()).toBe('a Nix binary cache, served by Neve\n')
    expect((await fetch(`${url}/nix/store/${site}`)).status).toBe(404)
  })

  it('is 304 for who has it', async () => {
    const etag = (await get('/')).headers.get('etag')!
    expect((await get('/', { headers: { 'if-none-match': etag } })).status).toBe(304)
  })

  it('of an empty store says so', async () => {
    const { url } = await served(memoryStore())
    expect(await (await fetch(url)).text()).toContain('The store is empty')
  })

  it('is JSON for programs', async () => {
    const facts = await json(get('/?format=json'))
    expect(facts).toMatchObject({ storeDir: '/nix/store', priority: 39, publicKeys: [] })
    expect(facts.paths.map(({ path }) => path)).toEqual([`/nix/store/${site}`])
    const headers = { accept: 'application/json' }
    expect(await json(get('/', { headers }))).toEqual(facts)
  })
})

describe('places', () => {
  it.each([
    ['', 200, 'text/html'],
    ['/', 200, 'text/html'],
    ['/bin', 200, 'text/html'],
    ['/bin/', 200, 'text/html'],
    ['/bin/hello', 200, 'text/plain'],
    ['/bin/hello/', 404, 'text/html'],
    ['/bin/hello/x', 404, 'text/html'],
    ['/bin/nothing', 404, 'text/html'],
    ['/bin/outside', 404, 'text/html'],
    ['/bin/absolute', 404, 'text/html'],
    ['/bin/dangling', 404, 'text/html'],
    ['/deep/loop', 404, 'text/html'],
    ['//bin', 404, 'text/html'],
    ['/bin//hello', 404, 'text/html'],
    ['/bin%2fhello', 404, 'text/html'],
    ['/%00', 404, 'text/html'],
    ['/%zz', 404, 'text/html'],
    ['/%2e%2e%2f%2e%2e%2fetc', 404, 'text/html'],
    ['/100%25%20&%20%22more%22', 200, 'text/plain'],
    ['/b%FF%FE', 200, 'text/plain'],
    [`/${encodeURIComponent(NASTY)}`, 200, 'text/plain'],
    ['/data.bin', 200, 'application/octet-stream'],
    ['/docs/i.svg', 200, 'image/svg+xml'],
  ])('%s is %i, %s', async (path, status, type) => {
    const response = await get(`/nix/store/${site}${path}`)
    expect([response.status, response.headers.get('content-type')!.split(';')[0]]).toEqual([status, type])
    expect(response.headers.get('x-content-type-options')).toBe('nosniff')
    await response.arrayBuffer()
  })

  it.each([
    ['/bin/hi', `../../../../nix/store/SITE/bin/hello`],
    ['/deep/short/leaf', '../../../../../nix/store/SITE/deep/a/b/leaf'],
    ['/deep/short?show=file', '../../../../nix/store/SITE/deep/a/b?show=file'],
  ])('the link %s leads to %s', async (path, location) => {
    const response = await get(`/nix/store/${site}${path}`)
    expect(response.status).toBe(307)
    expect(response.headers.get('location')).toBe(location.replace('SITE', site))
  })

  it('lists names as text, and links them by their bytes', async () => {
    const page = await text(`/nix/store/${site}`)
    expect(page).not.toContain('<img src=x')
    expect(page).not.toContain('\u001b')
    expect(page).toContain('&lt;img src=x onerror=alert(1)&gt;<span class="odd">\\u{1b}</span>[31m')
    expect(page).toContain(`href="../../nix/store/${site}/b%FF%FE?show=file"`)
    expect(page).toContain('b<span class="odd">\\xff</span><span class="odd">\\xfe</span>')
  })

  it('is JSON for programs, with exact bytes', async () => {
    const facts = await json(get(`/nix/store/${site}?format=json`))
    expect(facts).toMatchObject({
      path: `/nix/store/${site}`,
      references: [],
      total: 9,
      root: { type: 'directory' },
    })
    const odd = facts.entries.find(({ nameBase64 }) => nameBase64 !== undefined)!
    expect(Buffer.from(odd.nameBase64!, 'base64')).toEqual(BYTES)
    expect((await get(`/nix/store/${site}/nothing?format=json`)).status).toBe(404)
  })

  it('gives a part as a NAR', async () => {
    const response = await get(`/nix/store/${site}/bin?download=nar`)
    expect(response.headers.get('content-disposition')).toBe('attachment; filename="bin.nar"')
    const whole = Buffer.from(await response.arrayBuffer())
    expect(whole.length).toBe(Number(response.headers.get('content-length')))
    expect(whole.subarray(8, 21).toString()).toBe('nix-archive-1')
    expect((await get(`/nix/store/${site}/bin?download=exe`)).status).toBe(404)
  })

  it('cannot be written', async () => {
    for (const path of ['/', `/nix/store/${site}/x`]) {
      expect([404, 405]).toContain((await get(path, { method: 'PUT', body: 'x' })).status)
    }
    expect((await get('/', { method: 'POST', body: 'x' })).status).toBe(405)
  })
})

describe('files', () => {
  it('come with their length, a tag, ranges, and without rights', async () => {
    const path = `/nix/store/${site}/bin/hello`
    const whole = await get(path)
    const etag = whole.headers.get('etag')!
    expect(whole.headers.get('content-length')).toBe('21')
    expect(whole.headers.get('content-security-policy')).toMatch(/^sandbox;/)
    const part = await get(path, { headers: { range: 'bytes=2-8', 'if-range': etag } })
    expect([part.status, await part.text()]).toEqual([206, '/bin/sh'])
    expect(part.headers.get('content-range')).toBe('bytes 2-8/21')
    expect((await get(path, { headers: { range: 'bytes=21-' } })).status).toBe(416)
    expect((await get(path, { headers: { 'if-none-match': etag } })).status).toBe(304)
    const head = await get(path, { method: 'HEAD' })
    expect([head.status, head.headers.get('content-length'), await head.text()]).toEqual([200, '21', ''])
  })

  it('are saved under their names', async () => {
    const nasty = await get(`/nix/store/${site}/${encodeURIComponent(NASTY)}?download=raw`)
    expect(nasty.headers.get('content-disposition')).toBe(
      'attachment; filename="_img src=x onerror=alert(1)__[31m"',
    )
  })
})
