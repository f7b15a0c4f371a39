import { mkdirSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { PathComponent } from '@neve/castore-model'
import type { LocalStore } from '@neve/store-pathinfo'
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { locate, staysInside } from '../src/page/locate.js'
import { importSite } from './page-fixtures.js'
import { closed, served, temporaryFolder, temporaryStore } from './support.js'

let store: LocalStore
let site: string
let at: string
let errors: unknown[]
beforeAll(async () => {
  store = await temporaryStore()
  site = await importSite(store)
  const server = await served(store)
  at = server.url
  errors = server.errors
})

/** Sends a request line as it is: a client of its own would make a path of it first. */
async function raw(target: string, ...headers: string[]): Promise<string> {
  const { port, hostname } = new URL(at)
  const socket = connect(Number(port), hostname)
  const got: Buffer[] = []
  socket.on('error', () => {})
  socket.on('data', (piece) => got.push(piece))
  const lines = ['Host: x', 'Connection: close', ...headers].map((line) => `${line}\r\n`).join('')
  socket.write(`GET ${target} HTTP/1.1\r\n${lines}\r\n`)
  await closed(socket)
  return Buffer.concat(got).toString('latin1')
}

describe('requests that no client makes', () => {
  it.each([
    ['/nix/store/../../etc/passwd', 404],
    ['/nix/store/SITE/../../../etc/passwd', 404],
    ['/nix/store/SITE/bin/../README.md', 404],
    ['/nix/store/SITE/./README.md', 404],
    ['/nix/store/SITE/%2e%2e/SITE/README.md', 404],
    ['/nix/store/SITE/bin%2f..%2fREADME.md', 404],
    ['/nix/store//SITE', 404],
    ['/nix//store/SITE', 404],
    ['//nix/store/SITE', 404],
    ['/nix/store/', 404],
    ['/nix/store', 404],
    ['/nix/store/SITE%00', 404],
    ['/nix/store/SITE/%', 404],
    ['/nix/store/SITE\\..\\x', 404],
    ['/nix/store/not-a-store-path', 404],
    [`/nix/store/SITE/${'x'.repeat(300)}`, 404],
    [`/nix/store/SITE/${'x/'.repeat(4000)}x`, 404],
    ['/nix/store/SITE?page=99999999999999999999&filter=%00%ff', 200],
    ['/nix/store/SITE?show=closure&page=-1', 200],
    ['/nix/store/SITE?show=referrers&after=zzzz', 200],
    ['/nix/store/SITE?show=nonsense&format=nonsense', 200],
    ['/nix/store/SITE?download=', 404],
    ['/nix/store/SITE?download=../../x', 404],
    ['/?after=%ff&q=%00%0d%0aX:%20y', 200],
    [`/?q=${'q'.repeat(8000)}`, 200],
    ['http://elsewhere.example/nix/store/SITE', 404],
  ])('%s is %i', async (target, status) => {
    const answer = await raw(target.replaceAll('SITE', site))
    expect(Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1])).toBe(status)
    expect(answer).not.toMatch(/root:|\r\nX: y/)
    expect(errors).toEqual([])
  })

  it('headers change nothing that they should not', async () => {
    const headers = [
      'X-Forwarded-Proto: javascript',
      'X-Forwarded-Host: evil.example',
      `If-None-Match: ${'"x",'.repeat(3000)}`,
    ]
    const answer = await raw('/', ...headers)
    expect(answer).toMatch(/^HTTP\/1\.1 200/)
    expect(answer).toContain('extra-substituters = http://x<')
    expect(answer).not.toMatch(/evil|javascript/)
  })

  it('a link is not followed into the answer of a redirect to elsewhere', async () => {
    const answer = await raw(`/nix/store/${site}/bin/hi?x=//evil.example`)
    expect(/\r\nlocation: (\S+)/i.exec(answer)?.[1]).toBe(
      `../../../../nix/store/${site}/bin/hello?x=//evil.example`,
    )
  })
})

describe('archives', () => {
  it.each(['nar', 'tar', 'zip'])('HEAD of %s has the headers of GET', async (form) => {
    const url = `${at}/nix/store/${site}?download=${form}`
    const [head, get] = await Promise.all([fetch(url, { method: 'HEAD' }), fetch(url)])
    await get.arrayBuffer()
    for (const name of ['content-length', 'content-type', 'etag', 'content-disposition', 'cache-control']) {
      expect([name, head.headers.get(name)]).toEqual([name, get.headers.get(name)])
      expect(head.headers.get(name)).not.toBeNull()
    }
    const again = await fetch(url, { headers: { 'if-none-match': get.headers.get('etag')! } })
    expect(again.status).toBe(304)
  })

  it('one that nobody reads on is not made on', async () => {
    const root = join(temporaryFolder(), 'large')
    mkdirSync(root)
    writeFileSync(join(root, 'file'), Buffer.alloc(64 * 1024 * 1024, 'large '))
    const { storePath } = await store.importPath(root)
    let pieces = 0
    const counting = Object.assign(Object.create(store) as LocalStore, {
      nar: async function* (...args: Parameters<LocalStore['nar']>) {
        for await (const piece of store.nar(...args)) {
          pieces += piece.length
          yield piece
        }
      },
    })
    for (const name of ['blobs', 'directories', 'pathInfos', 'engine'] as const) {
      Object.defineProperty(counting, name, { value: store[name] })
    }
    const { bridge } = await served(counting)
    const response = await bridge(new Request(`http://x/nix/store/${storePath}?download=tar`))
    const reader = response.body!.getReader()
    await reader.read()
    await reader.read()
    expect(pieces).toBeLessThan(16 * 1024 * 1024)
    await reader.cancel()
  })
})

describe('links', () => {
  const step = fc.constantFrom('..', '.', 'a', 'b', 'link', '', 'f')
  const target = fc.array(step, { minLength: 1, maxLength: 5 }).map((steps) => steps.join('/'))
  const place = fc.array(fc.constantFrom('a', 'b', 'link', 'f'), { maxLength: 4 })

  it('lead where the kernel says that they lead', async () => {
    const base = temporaryFolder()
    let run = 0
    await fc.assert(
      fc.asyncProperty(target, target, place, async (one, two, below) => {
        fc.pre(one !== '' && two !== '')
        const root = join(base, `run-${run++}`, 'nix/store')
        const fake = '0'.repeat(32)
        const tree = join(root, `${fake}-tree`)
        for (const folder of ['a/b', 'b']) mkdirSync(join(tree, folder), { recursive: true })
        for (const file of ['f', 'a/b/f']) writeFileSync(join(tree, file), `${run}`)
        symlinkSync(one.replace(/^\/+/, '') || '.', join(tree, 'link'))
        symlinkSync(two.replace(/^\/+/, '') || '.', join(tree, 'a/link'))
        const { storePath } = await store.importPath(tree, { name: 'tree' })
        const name = storePath.toString()
        const found = await locate(
          store,
          [name, ...below].map((part) => PathComponent.from(part)),
          { follow: true, signal: new AbortController().signal },
        )
        let real: string | undefined
        try {
          real = realpathSync(join(tree, ...below))
        } catch {
          // A link that leads nowhere: nothing is to be found.
        }
        const inside =
          real?.startsWith(`${tree}/`) || real === tree
            ? real?.slice(root.length + 1).replace(fake, name.slice(0, 32))
            : undefined
        expect(found?.names.map(String).join('/')).toBe(inside)
      }),
      { numRuns: 150 },
    )
  })

  it('that leave the store are not for clicking', () => {
    const cases: [string, number, boolean][] = [
      ['x', 1, true],
      ['..', 1, false],
      ['../x', 1, true],
      ['../../x', 1, false],
      ['../../../etc', 2, false],
      ['/etc/passwd', 1, false],
      ['/nix/store', 1, false],
      ['/nix/store/', 1, false],
      ['/nix/store/x', 1, true],
      ['//nix//store//x/../..', 1, false],
      ['/nix/store/../store/x', 1, false],
    ]
    for (const [link, depth, inside] of cases) {
      expect([link, staysInside(Buffer.from(link), depth)]).toEqual([link, inside])
    }
  })
})
