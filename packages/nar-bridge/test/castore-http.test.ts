import { B3Digest, Directory, type Node, PathComponent, SymlinkTarget } from '@neve/castore-model'
import { type CastoreHttpOptions, castoreHttp, type HttpHandler } from '@neve/nar-bridge'
import { serve } from '@neve/nar-bridge/server'
import type { Store } from '@neve/store-pathinfo'
import fc from 'fast-check'
import { describe, expect, it, onTestFinished } from 'vitest'
import { linkLocation } from '../src/castore-http/link-location.js'
import { memoryStore } from './support.js'

type Tree = { readonly [name: string]: Tree | string | { readonly link: string } }

/** Stores a tree; texts are files. */
async function plant({ blobs, directories }: Store, tree: Tree): Promise<Node> {
  const entries: [PathComponent, Node][] = []
  for (const [name, what] of Object.entries(tree)) {
    let node: Node
    if (typeof what === 'string') {
      const digest = await blobs.put(Buffer.from(what))
      node = { kind: 'file', digest, size: BigInt(Buffer.byteLength(what)), executable: false }
    } else if ('link' in what && typeof what.link === 'string') {
      node = { kind: 'symlink', target: SymlinkTarget.from(what.link) }
    } else node = await plant({ blobs, directories } as Store, what as Tree)
    entries.push([PathComponent.from(Buffer.from(name, 'latin1')), node])
  }
  const directory = Directory.fromEntries(entries)
  await directories.put(directory)
  return directory.toNode()
}

const COMPLICATED: Tree = { '.keep': '', aa: { link: '/nix/store/somewhereelse' }, keep: { '.keep': '' } }
const SITE: Tree = {
  'index.htm': '<p>front</p>',
  'page.html': '<p>page</p>',
  nested: {
    dot: { link: '.' },
    dotdot_symlink: { link: '../index.htm' },
    above: { link: '../../../../index.htm' },
    host: { link: '//evil.example/x' },
    odd: { link: './a b\\..\r\nX: y' },
    'other.txt': 'other',
  },
  latest: { link: 'nested' },
  '<b>\u001b[31m\xff': 'odd',
}

async function site(tree: Tree, options: CastoreHttpOptions = {}) {
  const store = memoryStore()
  const root = await plant(store, tree)
  return castoreHttp(store, root, options)
}

const ask = (handler: HttpHandler, target: string, headers: Record<string, string> = {}, method = 'GET') => {
  const asked = new Request(`http://site.example/`, { method })
  return handler.answer({
    ...{ method, target, signal: asked.signal },
    header: (name) => headers[name],
    body: (async function* () {})(),
  })
}

/** The body as text. */
async function bodyOf({ body }: Awaited<ReturnType<typeof ask>>): Promise<string> {
  if (body === undefined || typeof body === 'string') return body ?? ''
  if (!('source' in body)) return Buffer.from(body).toString()
  const pieces: Buffer[] = []
  for await (const piece of body.source) pieces.push(Buffer.from(piece))
  return Buffer.concat(pieces).toString()
}

describe('08#12', () => {
  it('the first index name that is there stands for its directory', async () => {
    const handler = await site(SITE, { indexNames: ['index.html', 'index.htm'] })
    const reply = await ask(handler, '/')
    expect([reply.status, await bodyOf(reply)]).toEqual([200, '<p>front</p>'])
    expect(reply.headers['content-type']).toBe('text/html; charset=utf-8')
  })

  it('an index comes before the list', async () => {
    const handler = await site(SITE, { indexNames: ['index.htm'], autoIndex: true })
    expect(await bodyOf(await ask(handler, '/'))).toBe('<p>front</p>')
    expect(await bodyOf(await ask(handler, '/nested/'))).toContain('other.txt')
  })

  it('the list has its items in the order of names', async () => {
    const reply = await ask(await site(COMPLICATED, { autoIndex: true }), '/')
    expect(reply.status).toBe(200)
    expect((await bodyOf(reply)).match(/<li>.*<\/li>/g)).toEqual([
      '<li><a href="/.keep">.keep</a></li>',
      '<li><a href="/aa">aa</a></li>',
      '<li><a href="/keep">keep</a></li>',
    ])
  })

  it('the list escapes names and links them by their bytes', async () => {
    const page = await bodyOf(await ask(await site(SITE, { autoIndex: true, indexNames: [] }), '/'))
    expect(page).toContain('<a href="/%3Cb%3E%1B%5B31m%FF">&lt;b&gt;<span class="odd">')
    expect(page).not.toContain('\u001b')
  })

  it('a directory without an index is 403', async () => {
    expect((await ask(await site(COMPLICATED), '/')).status).toBe(403)
  })

  it.each([
    [COMPLICATED, '/aa', '/nix/store/somewhereelse'],
    [SITE, '/nested/dotdot_symlink', '/index.htm'],
    [SITE, '/nested/above', '/index.htm'],
    [SITE, '/nested/host', '/evil.example/x'],
    [SITE, '/nested/odd', '/nested/a%20b%5C..%0D%0AX%3A%20y'],
    [SITE, '/latest', '/nested'],
    [SITE, '/latest/other.txt', '/nested/other.txt'],
    [SITE, '/nested', '/nested/'],
  ])('%o: %s is a redirect to %s', async (tree, path, location) => {
    const reply = await ask(await site(tree), path)
    expect([reply.status, reply.headers['location']]).toEqual([307, location])
  })

  it('a link to . is 500', async () => {
    expect((await ask(await site(SITE), '/nested/dot')).status).toBe(500)
  })

  it.each([
    ['//aa', 400],
    ['//', 400],
    ['/aa//', 400],
    ['/./aa', 400],
    ['/../aa', 400],
    ['/%2e%2e/aa', 400],
    ['/nested%2fother.txt', 400],
    ['/%00', 400],
    ['/%', 400],
    ['/%zz', 400],
    [`/${'n'.repeat(256)}`, 400],
    ['aa', 400],
    ['http://elsewhere.example/page.html', 400],
    ['/page.html/', 400],
    ['/nothing', 404],
    ['/nested/nothing', 404],
    ['/page.html/x', 404],
    [`/${'x/'.repeat(10_000)}`, 414],
    ['/page.html?x=/../', 200],
    ['/%70age.html', 200],
  ])('%s is %i', async (target, status) => {
    expect((await ask(await site(SITE), target)).status).toBe(status)
  })

  it('below a root that is a file or a link everything is 400', async () => {
    const store = memoryStore()
    const digest = await store.blobs.put(Buffer.from('<p>'))
    const file: Node = { kind: 'file', digest, size: 3n, executable: false }
    const link: Node = { kind: 'symlink', target: SymlinkTarget.from('/x/./y') }
    expect(await bodyOf(await ask(castoreHttp(store, file), '/'))).toBe('<p>')
    expect((await ask(castoreHttp(store, link), '/')).headers['location']).toBe('/x/y')
    for (const root of [file, link]) expect((await ask(castoreHttp(store, root), '/x')).status).toBe(400)
  })

  it('files have a type, a length and a tag, and come in ranges', async () => {
    const handler = await site(SITE)
    const whole = await ask(handler, '/page.html')
    expect(whole.headers).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'content-length': '11',
    })
    const part = await ask(handler, '/page.html', { range: 'bytes=3-6' })
    expect([part.status, part.headers['content-length'], await bodyOf(part)]).toEqual([206, '4', 'page'])
    expect(part.headers['content-range']).toBe('bytes 3-6/11')
    expect((await ask(handler, '/page.html', { range: 'bytes=11-' })).status).toBe(416)
    expect((await ask(handler, '/page.html', { 'if-none-match': whole.headers['etag']! })).status).toBe(304)
    const head = await ask(handler, '/page.html', {}, 'HEAD')
    expect([head.status, head.headers['content-length'], head.body]).toEqual([200, '11', undefined])
  })

  it('only GET and HEAD are for it', async () => {
    const handler = await site(SITE)
    for (const method of ['PUT', 'POST', 'DELETE', 'OPTIONS']) {
      const reply = await ask(handler, '/', {}, method)
      expect([reply.status, reply.headers['allow']]).toEqual([405, 'GET, HEAD'])
    }
  })

  it('asks for a token where there are some', async () => {
    const tokens = { accessOf: (header?: string) => (header === 'Bearer it' ? ('read' as const) : undefined) }
    const handler = await site(SITE, { tokens })
    expect((await ask(handler, '/page.html')).status).toBe(401)
    expect((await ask(handler, '/page.html', { authorization: 'Bearer it' })).status).toBe(200)
  })
})

describe('what is missing', () => {
  it('is 500 before the body, and whoever runs the server hears of it', async () => {
    const errors: unknown[] = []
    const store = memoryStore()
    const file: Node = { kind: 'file', digest: B3Digest.of(Buffer.from('x')), size: 1n, executable: false }
    const directory = Directory.fromEntries([
      [PathComponent.from('file.txt'), file],
      [PathComponent.from('gone'), { kind: 'directory', digest: B3Digest.of(Buffer.from('y')), size: 0n }],
    ])
    await store.directories.put(directory).catch(() => {})
    const directories = {
      get: async (digest: B3Digest) => (digest.equals(directory.digest()) ? directory : undefined),
    }
    const handler = castoreHttp({ blobs: store.blobs, directories }, directory.toNode(), {
      onError: (_, error) => errors.push(error),
    })
    for (const path of ['/file.txt', '/gone/', '/gone/x']) expect((await ask(handler, path)).status).toBe(500)
    expect(errors.map((error) => (error as { code?: string }).code)).toEqual([
      'data-loss',
      'data-loss',
      'data-loss',
    ])
  })
})

describe('a list of 100,000', () => {
  it('is sent while it is made', async () => {
    const store = memoryStore()
    const node: Node = { kind: 'symlink', target: SymlinkTarget.from('x') }
    const many = Array.from({ length: 100_000 }, (_, i): [PathComponent, Node] => [
      PathComponent.from(`name-${String(i).padStart(6, '0')}`),
      node,
    ])
    const directory = Directory.fromEntries(many)
    await store.directories.put(directory)
    const handler = castoreHttp(store, directory.toNode(), { autoIndex: true })
    await using server = await serve(handler, { listen: '127.0.0.1:0' })
    onTestFinished(() => server.close())
    const page = await (await fetch(server.url)).text()
    expect(page.match(/<li>/g)?.length).toBe(100_000)
  })
})

it('links never lead to another host, nor above the root', () => {
  const name = fc.constantFrom('', '.', '..', 'a', '\\', '%2e', '//', 'b c', '\u00ff')
  fc.assert(
    fc.property(fc.array(name, { minLength: 1 }), fc.array(fc.constantFrom('x', 'y')), (parts, folder) => {
      const target = Buffer.from(parts.join('/'), 'latin1')
      const location = linkLocation(
        target,
        folder.map((one) => PathComponent.from(one)),
      )
      if (location === undefined) return
      const url = new URL(location, 'http://site.example/here')
      expect(url.origin).toBe('http://site.example')
      expect(url.pathname).toBe(location)
    }),
  )
})
