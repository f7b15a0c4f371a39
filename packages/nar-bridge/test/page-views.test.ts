import { createHash } from 'node:crypto'
import { Directory, type Node, PathComponent } from '@neve/castore-model'
import { SecretKey, type StorePath } from '@neve/nix-compat'
import type { PathInfo, Store } from '@neve/store-pathinfo'
import { beforeAll, describe, expect, it } from 'vitest'
import { pathInfo, SYMLINK, SYMLINK_NODE } from './fixtures.js'
import { memoryStore, served } from './support.js'

const HASH = '0123456789abcdfghijklmnpqrsvwxyz'
let counter = 0

/** A path info of a link, under a name of its own. */
function info(name: string, more: Partial<PathInfo> = {}): PathInfo {
  const digest = createHash('sha256').update(`${counter++}`).digest()
  const hash = Array.from(digest, (byte) => HASH[byte % 32]).join('')
  return { ...pathInfo(`${hash}-${name}`, SYMLINK_NODE, SYMLINK), ...more }
}

interface Paths {
  readonly paths: readonly { readonly path: string; readonly narSize: number }[]
  readonly next?: string
}
async function json<T>(url: string): Promise<T> {
  const response = await fetch(`${url}${url.includes('?') ? '&' : '?'}format=json`)
  expect([response.status, response.headers.get('content-type')]).toEqual([200, 'application/json'])
  return (await response.json()) as T
}
const names = ({ paths }: Paths) => paths.map(({ path }) => path.slice(44)).sort()

describe('what a store path needs, and who needs it', () => {
  let url: string
  const made: Record<string, PathInfo> = {}
  const page = (name: string, show: string) => `${url}/nix/store/${made[name]!.storePath}?show=${show}`

  beforeAll(async () => {
    const store = memoryStore()
    const put = async (name: string, narSize: bigint, ...references: (StorePath | string)[]) => {
      const paths = references.map((one) => (typeof one === 'string' ? made[one]!.storePath : one))
      made[name] = await store.pathInfos.put(info(name, { narSize, references: paths }))
    }
    await put('libc', 3000n)
    await put('libz', 200n, 'libc')
    await put('tool', 10n, 'libc', 'libz')
    await put('lost', 1n, 'libc', info('gone').storePath)
    const self = info('self', { narSize: 5n })
    made['self'] = await store.pathInfos.put({ ...self, references: [self.storePath] })
    url = (await served(store)).url
  })

  it('the closure has everything once, the largest first, with the sum', async () => {
    const closure = await json<Paths>(page('tool', 'closure'))
    expect(closure).toMatchObject({ closureSize: 3210, total: 3, complete: true, missing: [], pages: 1 })
    expect(closure.paths.map(({ narSize }) => narSize)).toEqual([3000, 200, 10])
    expect(await (await fetch(page('tool', 'closure'))).text()).toContain(
      '<b>3 store paths</b>, <b>3.2 kB</b>',
    )
  })

  it('the closure says what is not here', async () => {
    const closure = await json<Paths & { missing: string[] }>(page('lost', 'closure'))
    expect(closure).toMatchObject({ total: 2, complete: false })
    expect(closure.missing.map((path) => path.slice(44))).toEqual(['gone'])
    expect(await (await fetch(page('lost', 'closure'))).text()).toContain(
      '1 store path is not in this store: gone.',
    )
  })

  it('what references itself is its closure, once, and not its referrer', async () => {
    expect(await json(page('self', 'closure'))).toMatchObject({ total: 1, closureSize: 5 })
    expect(names(await json(page('self', 'referrers')))).toEqual([])
  })

  it('referrers are those that say so themselves', async () => {
    expect(names(await json(page('libc', 'referrers')))).toEqual(['libz', 'lost', 'tool'])
    expect(names(await json(page('libz', 'referrers')))).toEqual(['tool'])
    expect(names(await json(page('tool', 'referrers')))).toEqual([])
  })

  it('references have links, signatures are those that are served', async () => {
    const key = SecretKey.generate('signer-1')
    const store = memoryStore()
    const [base, top] = [info('base'), info('top')]
    await store.pathInfos.put(base)
    await store.pathInfos.put({ ...top, references: [base.storePath] })
    const { url: at } = await served(store, { signKeys: [key] })
    const text = await (await fetch(`${at}/nix/store/${top.storePath}`)).text()
    expect(text).toContain(`<a href="../../nix/store/${base.storePath}">base</a>`)
    expect(text).toContain('<code>signer-1:')
  })
})

describe('a list of many store paths', () => {
  it('is read a page at a time, each once', async () => {
    const store = memoryStore()
    for (let i = 0; i < 250; i++) await store.pathInfos.put(info(`path-${i}`))
    const limits: unknown[] = []
    const list = store.pathInfos.list.bind(store.pathInfos)
    store.pathInfos.list = (options) => {
      limits.push(options?.limit)
      return list(options)
    }
    const { url } = await served(store)
    const seen: string[] = []
    for (let after: string | undefined = ''; after !== undefined; ) {
      const page: Paths = await json<Paths>(`${url}/${after === '' ? '' : `?after=${after}`}`)
      seen.push(...names(page))
      after = page.next
    }
    expect([seen.length, new Set(seen).size]).toEqual([250, 250])
    expect(limits).toEqual([101, 101, 101])
  })

  it('is searched by name, by the beginning of a hash, by a whole hash and by a store path', async () => {
    const store = memoryStore()
    const wanted = info('Firefox-1.0')
    for (const one of [wanted, info('fire'), info('zlib')]) await store.pathInfos.put(one)
    const { url } = await served(store)
    const search = async (q: string) => names(await json(`${url}/?q=${encodeURIComponent(q)}`))
    const path = wanted.storePath
    expect(await search('firefox')).toEqual(['Firefox-1.0'])
    expect(await search('fire')).toEqual(['Firefox-1.0', 'fire'])
    expect(await search(path.toString().slice(0, 8))).toEqual(['Firefox-1.0'])
    expect(await search(path.toString().slice(0, 32))).toEqual(['Firefox-1.0'])
    expect(await search(`${path.toAbsolute()}/bin/firefox`)).toEqual(['Firefox-1.0'])
    expect(await search('%_<script>')).toEqual([])
    const response = await fetch(`${url}/?q=${path.toAbsolute()}`, { redirect: 'manual' })
    expect([response.status, response.headers.get('location')]).toEqual([307, `./nix/store/${path}`])
    const text = await (await fetch(`${url}/?q=${encodeURIComponent('"><script>')}`)).text()
    expect(text).toContain('value="&quot;&gt;&lt;script&gt;"')
    expect(text).not.toContain('<script')
  })

  it('of a store that does not list says so', async () => {
    const store = memoryStore()
    const { StoreError } = await import('@neve/store-pathinfo')
    // biome-ignore lint/correctness/useYield: it fails before
    store.pathInfos.list = async function* () {
      throw new StoreError('unsupported', 'it does not list')
    }
    const { url } = await served(store)
    expect(await (await fetch(url)).text()).toContain('does not list what it has')
  })
})

describe('a directory of 100,000 entries', () => {
  let url: string
  let at: string
  beforeAll(async () => {
    const store = memoryStore()
    const content = await store.blobs.put(Buffer.from('x'))
    const file: Node = { kind: 'file', digest: content, size: 1n, executable: false }
    const all = Array.from({ length: 100_000 }, (_, i): [PathComponent, Node] => [
      PathComponent.from(`name-${String(i).padStart(6, '0')}`),
      file,
    ])
    at = await stored(store, Directory.fromEntries(all))
    url = (await served(store)).url
  })

  it('comes in pages', async () => {
    const last = await json<{ entries: { name: string }[] }>(`${url}/nix/store/${at}?page=200`)
    expect(last).toMatchObject({ total: 100_000, page: 200, pages: 200 })
    expect(last.entries.map(({ name }) => name).slice(-1)).toEqual(['name-099999'])
    expect(last.entries.length).toBe(500)
    for (const page of ['0', '-1', '201', '1e9', '99999999999', 'x']) {
      const { status, headers } = await fetch(`${url}/nix/store/${at}?page=${page}`)
      expect(status).toBe(200)
      expect(Number(headers.get('content-length'))).toBeLessThan(400_000)
    }
  })

  it('is filtered by names', async () => {
    const found = await json<{ total: number }>(`${url}/nix/store/${at}?filter=NAME-0999`)
    expect(found.total).toBe(100)
  })

  it('is measured', async () => {
    const measure = await json(`${url}/nix/store/${at}?show=storage`)
    expect(measure).toMatchObject({
      files: 100_000,
      bytes: 100_000,
      blobs: 1,
      distinctBytes: 1,
      sharedChunks: 1,
    })
    const text = await (await fetch(`${url}/nix/store/${at}?show=storage`)).text()
    expect(text).toContain('100,000 files, 1 directory, 0 links')
  })
})

it('storage tells what a store path shares with another one', async () => {
  const store = memoryStore()
  const tree = async (...files: [string, string][]) => {
    const entries = files.map(async ([name, text]): Promise<[PathComponent, Node]> => {
      const digest = await store.blobs.put(Buffer.from(text))
      return [
        PathComponent.from(name),
        { kind: 'file', digest, size: BigInt(text.length), executable: false },
      ]
    })
    return stored(store, Directory.fromEntries(await Promise.all(entries)))
  }
  const one = await tree(['a', 'same'], ['b', 'only here'], ['c', 'same'])
  const two = await tree(['x', 'same'], ['y', 'only there'])
  const { url } = await served(store)
  const page = `${url}/nix/store/${one}?show=storage&with=`
  for (const other of [two, `/nix/store/${two}`, two.slice(0, 32)]) {
    const comparison = { with: `/nix/store/${two}`, chunks: 2, bytes: 13, sharedChunks: 1, sharedBytes: 4 }
    expect(await json(`${page}${other}`)).toMatchObject({ comparison })
  }
  expect(await (await fetch(`${page}${two}`)).text()).toContain('<b>4 B</b> in 1 are in <b>tree</b> too')
  expect(await (await fetch(`${page}nonsense`)).text()).toContain('The store has no such store path.')
  const comparison = { with: '*', chunks: 2, bytes: 13, sharedChunks: 1, sharedBytes: 4 }
  expect(await json(`${page}*`)).toMatchObject({ comparison: { ...comparison, others: 1, complete: true } })
  const all = await (await fetch(`${page}*`)).text()
  expect(all).toContain('<b>4 B</b> in 1 are in other store paths too')
  await tree(['z', 'only here'])
  expect(await json(`${page}*`)).toMatchObject({ comparison: { sharedChunks: 2, sharedBytes: 13 } })
})

it('pages need a token where the cache does', async () => {
  const store = memoryStore()
  const at = await stored(store, Directory.EMPTY)
  const tokens = { accessOf: (header?: string) => (header === 'Bearer it' ? ('read' as const) : undefined) }
  const { url } = await served(store, { tokens })
  for (const path of ['/', `/nix/store/${at}`, `/nix/store/${at}?download=tar`, '/?format=json']) {
    const refused = await fetch(`${url}${path}`)
    expect([refused.status, refused.headers.get('www-authenticate')]).toEqual([
      401,
      expect.stringMatching(/^Basic/),
    ])
    expect((await fetch(`${url}${path}`, { headers: { authorization: 'Bearer it' } })).status).toBe(200)
  }
  const home = await (await fetch(url, { headers: { authorization: 'Bearer it' } })).text()
  expect(home).toContain('machine 127.0.0.1 login nix password TOKEN')
})

/** Stores a directory under a store path; gives its base name. */
async function stored(store: Store, directory: Directory): Promise<string> {
  await store.directories.put(directory)
  const { storePath } = await store.pathInfos.put(info('tree', { node: directory.toNode() }))
  return storePath.toString()
}
