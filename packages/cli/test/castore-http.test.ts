import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { request } from 'node:https'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { describe, expect, test } from 'vitest'
import { startDaemon } from './servers.js'
import { missingProgram, neve, requireReal, temporaryFolder } from './support.js'

/** Imports a site; gives its store and its store path. */
async function importedSite() {
  const folder = temporaryFolder()
  const root = join(folder, 'site')
  mkdirSync(join(root, 'docs'), { recursive: true })
  writeFileSync(join(root, 'index.html'), '<p>front</p>')
  writeFileSync(join(root, 'docs/page.txt'), 'page')
  symlinkSync('docs/page.txt', join(root, 'latest'))
  const store = join(folder, 'store')
  const { stdout } = await neve(['--store', store, 'import', root])
  return { folder, store, path: stdout.toString().trim() }
}

const startSite = (store: string, ...args: string[]) =>
  startDaemon(['-l', '127.0.0.1:0', '--store', store, ...args], {}, 'castore-http')

describe('neve castore-http', () => {
  test('08#12 serves a store path as a web site', async () => {
    const { store, path } = await importedSite()
    const { urls, stop } = await startSite(store, path)
    const get = (below: string) => fetch(`${urls[0]}${below}`)
    const front = await get('/')
    expect([front.status, await front.text()]).toEqual([200, '<p>front</p>'])
    expect(front.headers.get('content-type')).toMatch(/^text\/html/)
    const latest = await get('/latest')
    expect([latest.url, await latest.text()]).toEqual([`${urls[0]}/docs/page.txt`, 'page'])
    expect((await get('/docs')).status).toBe(403)
    expect(await stop()).toBe(0)
  })

  test('08#12 serves a directory by its digest, with lists and an index of another name', async () => {
    const { store, path } = await importedSite()
    const { stdout } = await neve(['--store', store, 'stat', '--json', `${path}/docs`])
    const { digest } = JSON.parse(stdout.toString()) as { digest: string }
    const listed = await startSite(store, '-r', digest, '--auto-index')
    expect(await (await fetch(listed.urls[0]!)).text()).toContain('<li><a href="/page.txt">page.txt</a></li>')
    const indexed = await startSite(store, `--root-directory=${digest}`, '--index-names', 'a,page.txt')
    expect(await (await fetch(indexed.urls[0]!)).text()).toBe('page')
  })

  test('asks for a token that is in a file', async () => {
    const { folder, store, path } = await importedSite()
    const file = join(folder, 'tokens')
    writeFileSync(file, 'read reading-reading-reading\n')
    chmodSync(file, 0o600)
    const { urls } = await startSite(store, '--token-file', file, path)
    expect((await fetch(urls[0]!)).status).toBe(401)
    const headers = { authorization: 'Bearer reading-reading-reading' }
    expect((await fetch(urls[0]!, { headers })).status).toBe(200)
  })

  test('is served like a store: over TLS, by workers, with an access log', async (context) => {
    requireReal(context, missingProgram('openssl', 'version'))
    const { folder, store, path } = await importedSite()
    const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')]
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2']
    const subject = ['-subj', '/CN=server', '-addext', 'subjectAltName=IP:127.0.0.1']
    execFileSync('openssl', ['req', '-x509', ...curve, '-keyout', key, '-out', cert, ...subject], {
      stdio: 'ignore',
    })
    const flags = ['--tls-cert', cert, '--tls-key', key, '--workers', '2', '--access-log']
    const { urls, says, stop } = await startSite(store, ...flags, path)
    expect(urls[0]).toMatch(/^https:/)
    const asked = request(`${urls[0]}/docs/page.txt`, { ca: readFileSync(cert), agent: false }).end()
    const [response] = (await once(asked, 'response')) as [IncomingMessage]
    expect(await text(response)).toBe('page')
    await says('method=GET target=/docs/page.txt status=200 ')
    expect(await stop()).toBe(0)
  })

  test.each([
    [[], 2, /either an address or --root-directory/],
    [['x', '-r', 'y'], 2, /either an address or --root-directory/],
    [['nonsense'], 2, /expected a store path/],
    [['-l', 'localhost:1', '00000000000000000000000000000000-x'], 2, /--listen-address: /],
    [['-l', '-', '00000000000000000000000000000000-x'], 2, /standard input/],
    [['00000000000000000000000000000000-x'], 1, /there is no store at/],
  ])('%j is refused', async (args, status, message) => {
    const store = join(temporaryFolder(), 'store')
    const ran = await neve(['--store', store, 'castore-http', ...args])
    expect(ran.stderr).toMatch(message)
    expect(ran.code).toBe(status)
  })
})
