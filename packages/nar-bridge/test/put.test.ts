import { spawnSync } from 'node:child_process'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import { B3Digest } from '@neve/castore-model'
import { MemoryObjectStore } from '@neve/castore-services/object-store'
import { narBridge } from '@neve/nar-bridge'
import { encodeNixbase32, SecretKey } from '@neve/nix-compat'
import { describe, expect, it } from 'vitest'
import { COMPLICATED, fileHash, HELLOWORLD, SYMLINK, sha256 } from './fixtures.js'
import { programIsThere } from './private-nix.js'
import { ask, memoryStore } from './support.js'

const PATH = '00000000000000000000000000000000-dummy'
const NARINFO = `/${PATH.slice(0, 32)}.narinfo`

const put = (bridge: ReturnType<typeof narBridge>, path: string, body: Uint8Array | string) =>
  ask(bridge, path, { method: 'PUT', body: typeof body === 'string' ? body : new Uint8Array(body) })

/** What Nix would write. */
function narInfo(archive: Uint8Array, changes: Readonly<Record<string, string | undefined>> = {}): string {
  const fields: Record<string, string | undefined> = {
    StorePath: `/nix/store/${PATH}`,
    URL: `nar/${fileHash(archive)}.nar`,
    Compression: 'none',
    FileHash: `sha256:${fileHash(archive)}`,
    FileSize: `${archive.length}`,
    NarHash: `sha256:${fileHash(archive)}`,
    NarSize: `${archive.length}`,
    References: '',
    ...changes,
  }
  return Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}: ${value}\n`)
    .join('')
}

const xz = (bytes: Uint8Array) => spawnSync('xz', ['-c'], { input: bytes }).stdout
const zst = (bytes: Uint8Array) => spawnSync('zstd', ['-c'], { input: bytes }).stdout
const bz2 = (bytes: Uint8Array) => spawnSync('bzip2', ['-c'], { input: bytes }).stdout

const FORMS = [
  ['.gz', 'gzip', gzipSync, 'gzip'],
  ['', 'gzip', gzipSync, 'gzip'],
  ['.br', 'br', brotliCompressSync, 'brotli'],
  ['.xz', 'xz', xz, 'xz'],
  ['.zst', 'zstd', zst, 'zstd'],
  ['.bz2', 'bzip2', bz2, 'bzip2'],
] as const

describe('PUT of NARs', () => {
  it('08#10b: another hash than in the name is refused', async () => {
    const bridge = narBridge(memoryStore())
    const path = `/nar/${'0'.repeat(52)}.nar`
    const response = await put(bridge, path, SYMLINK)
    expect(response.status).toBe(400)
    expect(await response.text()).toContain('another hash')
    expect((await ask(bridge, path)).status).toBe(404)
  })

  it('08#10c: a compression that nobody knows is refused', async () => {
    const bridge = narBridge(memoryStore())
    for (const suffix of ['.lz4', '.lzip', '.zip']) {
      expect((await put(bridge, `/nar/${fileHash(SYMLINK)}.nar${suffix}`, SYMLINK)).status).toBe(415)
    }
  })

  it('08#10d: the blobs in it are stored', async () => {
    const store = memoryStore()
    const bridge = narBridge(store)
    expect((await put(bridge, `/nar/${fileHash(HELLOWORLD)}.nar`, HELLOWORLD)).status).toBe(200)
    const digest = B3Digest.of(Buffer.from('Hello World!'))
    expect(Buffer.from((await store.blobs.get(digest))!).toString()).toBe('Hello World!')
  })

  it('08#10e: the archive is there again under its name, for GET and HEAD', async () => {
    const bridge = narBridge(memoryStore())
    const path = `/nar/${fileHash(COMPLICATED)}.nar`
    expect((await put(bridge, path, COMPLICATED)).status).toBe(200)
    const response = await ask(bridge, path)
    expect(Buffer.from(await response.arrayBuffer())).toEqual(COMPLICATED)
    const head = await ask(bridge, path, { method: 'HEAD' })
    expect(head.status).toBe(200)
    expect([...head.headers]).toEqual([...response.headers])
  })

  it.each(FORMS)('%s: is there again in its form, and lasts', async (suffix, form, encode, program) => {
    if (!programIsThere(program)) return
    const [store, files] = [memoryStore(), new MemoryObjectStore()]
    const file = encode(COMPLICATED)
    const path = `/nar/${fileHash(file)}.nar${suffix}`
    expect((await put(narBridge(store, { files }), path, file)).status).toBe(200)
    // A server that was started again.
    const bridge = narBridge(store, { files })
    const response = await ask(bridge, path)
    expect(response.status).toBe(200)
    const body = Buffer.from(await response.arrayBuffer())
    expect(spawnSync(program, ['-dc'], { input: body }).stdout).toEqual(COMPLICATED)
    const length = response.headers.get('content-length')
    if (length !== null) expect(Number(length)).toBe(body.length)
    const head = await ask(bridge, path, { method: 'HEAD' })
    expect([...head.headers]).toEqual([...response.headers])
    const info = narInfo(COMPLICATED, {
      URL: path.slice(1),
      Compression: form,
      FileHash: `sha256:${fileHash(file)}`,
      FileSize: `${file.length}`,
    })
    expect((await put(bridge, NARINFO, info)).status).toBe(200)
    expect((await ask(narBridge(store, { files }), path)).status).toBe(200)
  })

  it.each([
    ['.nar.xz that is none', '.xz', COMPLICATED],
    ['nothing at all', '', new Uint8Array(0)],
    ['what is no archive', '', Buffer.from('hello')],
    ['an archive that ends early', '', COMPLICATED.subarray(0, 800)],
    ['an archive with more behind it', '', Buffer.concat([COMPLICATED, Buffer.alloc(8)])],
    ['a truncated gzip', '.gz', gzipSync(COMPLICATED).subarray(0, 60)],
    ['a gzip with more behind it', '.gz', Buffer.concat([gzipSync(COMPLICATED), Buffer.from('x')])],
    ['a truncated brotli', '.br', brotliCompressSync(COMPLICATED).subarray(0, 60)],
    ['a brotli with more behind it', '.br', Buffer.concat([brotliCompressSync(COMPLICATED), SYMLINK])],
    ['what is no brotli', '.br', Buffer.alloc(100, 0xff)],
  ])('%s is 400, and nothing of it can be had', async (_, suffix, file) => {
    const bridge = narBridge(memoryStore())
    const path = `/nar/${fileHash(file)}.nar${suffix}`
    expect((await put(bridge, path, file)).status).toBe(400)
    expect((await ask(bridge, path)).status).toBe(404)
  })

  it('more than the limit is 413, however well it is compressed', async () => {
    const bridge = narBridge(memoryStore(), { maxNarSize: 100_000n })
    const header = Buffer.from(HELLOWORLD.subarray(0, 96))
    header.writeBigUInt64LE(10_000_000n, 88)
    const file = gzipSync(Buffer.concat([header, Buffer.alloc(10_000_016)]))
    expect((await put(bridge, `/nar/${fileHash(file)}.nar.gz`, file)).status).toBe(413)
  })

  it('a name that is none is 400', async () => {
    const bridge = narBridge(memoryStore())
    for (const name of ['x.nar', `${'e'.repeat(52)}.nar`, '../x', '']) {
      expect((await put(bridge, `/nar/./${name}`, SYMLINK)).status).not.toBe(200)
    }
    expect((await put(bridge, `/nar/${'e'.repeat(52)}.nar`, SYMLINK)).status).toBe(400)
  })

  it('is forgotten when no narinfo comes, and not when one came', async () => {
    const [store, files] = [memoryStore(), new MemoryObjectStore()]
    const paths = [COMPLICATED, SYMLINK].map((archive) => `/nar/${fileHash(archive)}.nar`)
    const first = narBridge(store, { files })
    await put(first, paths[0]!, COMPLICATED)
    await put(first, paths[1]!, SYMLINK)
    expect((await put(first, NARINFO, narInfo(SYMLINK))).status).toBe(200)
    const errors: unknown[] = []
    const later = narBridge(store, { files, uploadExpiry: -1, onError: (_, error) => errors.push(error) })
    // Any upload makes it look.
    await put(later, `/nar/${fileHash(HELLOWORLD)}.nar`, HELLOWORLD)
    await expect.poll(async () => (await ask(narBridge(store, { files }), paths[0]!)).status).toBe(404)
    expect((await ask(narBridge(store, { files }), paths[1]!)).status).toBe(200)
    expect(errors).toEqual([])
  })
})

describe('PUT of narinfo files', () => {
  const NAR_PATH = `/nar/${fileHash(COMPLICATED)}.nar`

  async function uploaded(options: Parameters<typeof narBridge>[1] = {}) {
    const store = memoryStore()
    const bridge = narBridge(store, { onError: (_, e) => console.log(e), ...options })
    expect((await put(bridge, NAR_PATH, COMPLICATED)).status).toBe(200)
    return { store, bridge }
  }

  it('08#10h: before its NAR is refused', async () => {
    const bridge = narBridge(memoryStore())
    expect((await put(bridge, NARINFO, narInfo(COMPLICATED))).status).toBe(400)
    expect((await ask(bridge, NARINFO)).status).toBe(404)
  })

  it('08#10i: after its NAR is there', async () => {
    const { bridge } = await uploaded()
    const info = narInfo(COMPLICATED, {
      References: `${PATH} s66mzxpvicwk07gjbjfw9izjfa797vsw-hello-2.12.1`,
      Deriver: 'ib3sh3pcz10wsmavxvkdbayhqivbghlq-hello-2.12.1.drv',
      Sig: `k:${Buffer.alloc(64).toString('base64')}`,
    })
    expect((await put(bridge, NARINFO, info)).status).toBe(200)
    const text = await (await ask(bridge, NARINFO)).text()
    for (const line of ['References', 'Deriver', 'Sig', 'NarHash', 'NarSize'].map(
      (key) => info.split('\n').find((one) => one.startsWith(`${key}: `))!,
    )) {
      expect(text).toContain(`${line}\n`)
    }
    const url = /^URL: (.*)$/m.exec(text)![1]
    expect(Buffer.from(await (await ask(bridge, `/${url}`)).arrayBuffer())).toEqual(COMPLICATED)
  })

  it.each([
    ['another NarHash', { NarHash: `sha256:${fileHash(SYMLINK)}` }],
    ['another NarSize', { NarSize: '841' }],
    ['another FileHash', { FileHash: `sha256:${fileHash(SYMLINK)}` }],
    ['another FileSize', { FileSize: '1' }],
    ['another Compression', { Compression: 'xz' }],
    ['another store path', { StorePath: '/nix/store/s66mzxpvicwk07gjbjfw9izjfa797vsw-hello' }],
    ['no References', { References: undefined }],
    ['References that are none', { References: 'hello' }],
    ['References twice', { References: `${PATH} ${PATH}` }],
    ['a URL elsewhere', { URL: 'https://cache.example/nar/x.nar' }],
    ['a URL upwards', { URL: `../nar/${fileHash(COMPLICATED)}.nar` }],
    ['a content address of another name', { CA: `fixed:r:sha256:${fileHash(COMPLICATED)}` }],
    ['no NarSize', { NarSize: undefined }],
  ])('%s is 400', async (_, changes) => {
    const { store, bridge } = await uploaded()
    expect((await put(bridge, NARINFO, narInfo(COMPLICATED, changes))).status).toBe(400)
    const all: unknown[] = []
    for await (const info of store.pathInfos.list()) all.push(info)
    expect(all).toEqual([])
  })

  it('that is no text is 400, that is endless is 413', async () => {
    const { bridge } = await uploaded()
    expect((await put(bridge, NARINFO, new Uint8Array([0xff, 0xfe]))).status).toBe(400)
    expect((await put(bridge, NARINFO, 'StorePath')).status).toBe(400)
    expect((await put(bridge, NARINFO, new Uint8Array(5_000_000))).status).toBe(413)
  })

  it('of other contents than are there is 409', async () => {
    const { bridge } = await uploaded()
    await put(bridge, `/nar/${fileHash(SYMLINK)}.nar`, SYMLINK)
    expect((await put(bridge, NARINFO, narInfo(SYMLINK))).status).toBe(200)
    expect((await put(bridge, NARINFO, narInfo(COMPLICATED))).status).toBe(409)
    expect((await put(bridge, NARINFO, narInfo(SYMLINK))).status).toBe(200)
  })

  it('has to be signed where signatures are asked for', async () => {
    const key = SecretKey.generate('builder-1')
    const { bridge } = await uploaded({ requireSignatures: [key.publicKey] })
    const text = `1;/nix/store/${PATH};sha256:${fileHash(COMPLICATED)};840;`
    expect((await put(bridge, NARINFO, narInfo(COMPLICATED))).status).toBe(403)
    for (const wrong of [key.sign(`${text} `), SecretKey.generate('builder-1').sign(text)]) {
      expect((await put(bridge, NARINFO, narInfo(COMPLICATED, { Sig: `${wrong}` }))).status).toBe(403)
    }
    expect((await put(bridge, NARINFO, narInfo(COMPLICATED, { Sig: `${key.sign(text)}` }))).status).toBe(200)
  })

  it.each(['recursive', 'flat'])(
    'with a content address is believed only if it is right: %s',
    async (kind) => {
      const { buildStorePath, ContentAddress, NixHash } = await import('@neve/nix-compat')
      const method = kind === 'flat' ? 'flat' : 'recursive'
      const right = new NixHash('sha256', sha256(kind === 'flat' ? Buffer.from('Hello World!') : HELLOWORLD))
      const wrong = new NixHash('sha256', sha256(SYMLINK))
      const bridge = narBridge(memoryStore())
      await put(bridge, `/nar/${fileHash(HELLOWORLD)}.nar`, HELLOWORLD)
      for (const [hash, status] of [
        [wrong, 400],
        [right, 200],
      ] as const) {
        const ca = new ContentAddress(method, hash)
        const storePath = buildStorePath('greeting', ca)
        const info = narInfo(HELLOWORLD, { StorePath: storePath.toAbsolute(), CA: `${ca}` })
        const path = `/${encodeNixbase32(storePath.digest)}.narinfo`
        expect((await put(bridge, path, info)).status).toBe(status)
      }
    },
  )
})

describe('PUT of listings', () => {
  it('is taken, and the listing is still the right one', async () => {
    const bridge = narBridge(memoryStore())
    await put(bridge, `/nar/${fileHash(SYMLINK)}.nar`, SYMLINK)
    await put(bridge, NARINFO, narInfo(SYMLINK))
    const path = NARINFO.replace('narinfo', 'ls')
    expect((await put(bridge, path, '{"version":1,"root":{}}')).status).toBe(200)
    expect(await (await ask(bridge, path)).json()).toMatchObject({ root: { type: 'symlink' } })
  })
})
