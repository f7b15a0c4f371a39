import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, relative } from 'node:path'
import { B3Digest, type Node } from '@neve/castore-model'
import { dumpPath } from '@neve/nar/node'
import { ContentAddress, NixHash, Signature, StorePath } from '@neve/nix-compat'
import {
  calculateNar,
  defaultStorePath,
  embeddedPath,
  openStore,
  type PathInfo,
  parseAddress,
  type Store,
  storePathName,
} from '@neve/store-pathinfo'
import { beforeAll, describe, expect, it } from 'vitest'
import { makeComplicated, makeRandomTree, NAR_VECTORS, noise } from './host-trees.js'
import {
  collect,
  expectStoreError,
  failureOf,
  hex,
  temporaryFolder,
  temporaryStore,
  toHex,
} from './support.js'

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** Makes the tree of a vector under a name. */
function made(id: string, name: string): string {
  const path = join(temporaryFolder(), name)
  NAR_VECTORS.find((vector) => vector.id === id)!.make(path)
  return path
}

describe('importing', () => {
  it.each([
    ['N-4', 'aa', 'zmpf8f0xn964s01661c424y9cx9pl1wn-aa'],
    ['N-3', 'helloworld.txt', 'hdr0vc3jd7iq84vlp13h0c8sybpj884r-helloworld.txt'],
    ['N-6', 'complicated', 'pngqdzggfqs4q7fg6iywqnlzcgsp85qr-complicated'],
    ['N-2', 'empty', '9ljssglw74jabzzsqsl3lim4d5jgh4ya-empty'],
    ['N-1', '.gitignore', 'fli4bwscgna7lpm7v5xgnjxrxh0yc7ra-.gitignore'],
    ['N-4', 'doesntmatter', 'v3r2js24npzm0ikvgyfbhnjgh2a96k1w-doesntmatter'],
    ['N-3', 'root', 'zhyr2cw9j1s4yxi24fy1gpbcxilibd45-root'],
  ])('07 section 11.3, 06 section 7.3: %s as %s', async (id, name, expected) => {
    const store = await temporaryStore()
    const path = made(id, name)
    const vector = NAR_VECTORS.find((vector) => vector.id === id)!
    const imported = await store.importPath(path)
    expect(imported.storePath.toString()).toBe(expected)
    expect([imported.narSize, toHex(imported.narSha256)]).toEqual([BigInt(vector.size), vector.sha256])
    expect(imported.pathInfo).toEqual({
      storePath: imported.storePath,
      node: imported.node,
      references: [],
      narSize: BigInt(vector.size),
      narSha256: hex(vector.sha256),
      signatures: [],
      deriver: undefined,
      ca: new ContentAddress('recursive', new NixHash('sha256', hex(vector.sha256))),
    })
    expect(await store.pathInfos.get(imported.storePath.digest)).toEqual(imported.pathInfo)
    expect(sha256(await collect(store.nar(imported.storePath)))).toBe(vector.sha256)
    // Under another name, with the name given.
    const other = await store.importPath(made(id, 'other'), { name })
    expect(other.storePath.toString()).toBe(expected)
  })

  it('the same again: the same path, nothing new, whatever way it is measured', async () => {
    const store = await temporaryStore()
    const path = makeRandomTree(21)
    const first = await store.importPath(path)
    expect(first.newBytes).toBeGreaterThan(0)
    const again = [
      await store.importPath(path),
      await store.importPath(`${path}/`),
      await store.importPath(relative('.', path)),
      await store.importPath(Buffer.from(path)),
      await store.importPath(path, { fileCache: false }),
    ]
    for (const { storePath, node, narSha256, narSize, newBytes } of again) {
      expect(storePath.equals(first.storePath)).toBe(true)
      expect({ node, narSize, narSha256, newBytes }).toEqual({
        node: first.node,
        narSize: first.narSize,
        narSha256: first.narSha256,
        newBytes: 0,
      })
    }
    expect(store.engine.count('pathInfos')).toBe(1)
  })

  it('a changed tree: another path, measured anew', async () => {
    const store = await temporaryStore()
    const path = makeRandomTree(22)
    const first = await store.importPath(path)
    writeFileSync(join(path, 'one more'), 'x')
    const second = await store.importPath(path)
    expect(second.storePath.equals(first.storePath)).toBe(false)
    const nar = await collect(dumpPath(path))
    expect([second.narSize, toHex(second.narSha256)]).toEqual([BigInt(nar.length), sha256(nar)])
    expect(store.engine.count('pathInfos')).toBe(2)
  })

  it('with entries counted twice: another root, the same store path', async () => {
    const store = await temporaryStore()
    const path = made('N-6', 'complicated')
    const once = await store.importPath(path)
    const twice = await store.importPath(path, { directorySizes: 'twice' })
    expect(twice.node).not.toEqual(once.node)
    expect(twice.storePath.equals(once.storePath)).toBe(true)
    expect(await collect(store.nar(twice.node))).toHaveLength(840)
  })

  it('several at once', async () => {
    const store = await temporaryStore()
    const paths = [31, 32, 33, 31].map((seed) => makeRandomTree(seed, 80))
    const imported = await Promise.all(paths.map((path) => store.importPath(path)))
    for (const [i, { storePath }] of imported.entries()) {
      const expected = sha256(await collect(dumpPath(paths[i]!)))
      expect(sha256(await collect(store.nar(storePath)))).toBe(expected)
    }
    expect(imported[3]!.storePath.equals(imported[0]!.storePath)).toBe(true)
  })

  it('what fails leaves no path info; the next one works', async () => {
    const store = await temporaryStore()
    const path = makeRandomTree(23, 40)
    spawnSync('mkfifo', [join(path, 'zz')])
    expect(await failureOf(() => store.importPath(path))).toMatchObject({ code: 'file-type' })
    expect(await failureOf(() => store.importPath(join(path, 'missing')))).toMatchObject({ code: 'stat' })
    const reason = new Error('no')
    const aborted = store.importPath(makeRandomTree(24, 20), { signal: AbortSignal.abort(reason) })
    await expect(aborted).rejects.toBe(reason)
    expect(store.engine.count('pathInfos')).toBe(0)
    await store.importPath(makeRandomTree(24, 20))
    expect(store.engine.count('pathInfos')).toBe(1)
  })

  it('two stores over one folder see each other’s imports', async () => {
    const one = await temporaryStore()
    const path = made('N-6', 'complicated')
    await using two = await openStore(one.engine.path)
    const [a, b] = await Promise.all([one.importPath(path), two.importPath(path)])
    expect(a.storePath.equals(b.storePath)).toBe(true)
    await using three = await openStore(one.engine.path, { readOnly: true })
    expect(await collect(three.nar(a.storePath))).toHaveLength(840)
    await expect(three.importPath(path)).rejects.toMatchObject({ code: 'no-permission' })
  })
})

describe('07 section 9.1 the name of an imported path', () => {
  it.each([
    ['a/b/c', 'c'],
    ['a/b/../c', 'c'],
    ['a/b/../c/d/../e', 'e'],
    ['/abs/x', 'x'],
    ['./x/', 'x'],
    ['x/.', 'x'],
    ['x//', 'x'],
    ['.gitignore', '.gitignore'],
    ['a'.repeat(211), 'a'.repeat(211)],
  ])('%s', (path, name) => {
    expect(storePathName(path)).toBe(name)
    expect(storePathName(Buffer.from(path))).toBe(name)
  })

  it.each([
    ['..', 'no last component'],
    ['.', 'no last component'],
    ['/', 'no last component'],
    ['', 'no last component'],
    ['a/b/..', 'no last component'],
    ['a b', 'cannot be the name'],
    ['naïve', 'cannot be the name'],
    ['a/x\ny', 'cannot be the name'],
    ['a'.repeat(212), 'cannot be the name'],
    ['a/.-x', 'cannot be the name'],
    [Buffer.from([0x61, 0xff]), 'cannot be the name'],
  ])('refused: %j', async (path, reason) => {
    const error = await expectStoreError(() => storePathName(path), 'invalid-name')
    expect(error.message).toContain(reason)
  })

  it('a name that is given is checked before anything is read', async () => {
    const store = await temporaryStore()
    for (const name of ['', 'a b', 'a/b', '..', '.']) {
      await expectStoreError(() => store.importPath('/nowhere', { name }), 'invalid-name')
    }
  })
})

describe('path infos', () => {
  const storePath = StorePath.parse('00000000000000000000000000000000-dummy')
  const info: PathInfo = {
    storePath,
    node: { kind: 'file', digest: B3Digest.EMPTY, size: 0n, executable: false },
    references: [storePath],
    narSize: 112n,
    narSha256: new Uint8Array(32).fill(1),
    signatures: [new Signature('a', new Uint8Array(64))],
    deriver: storePath,
    ca: undefined,
  }

  it('are kept, listed, and found by digest', async () => {
    const { pathInfos, engine } = await temporaryStore()
    expect(await pathInfos.get(storePath.digest)).toBeUndefined()
    expect(await pathInfos.has(storePath.digest)).toBe(false)
    expect(await pathInfos.put(info)).toEqual(info)
    expect(await pathInfos.has(storePath.digest)).toBe(true)
    expect(await pathInfos.get(storePath.digest)).toEqual(info)
    const other = { ...info, storePath: StorePath.parse('00bgd045z0d4icpbc2yyz4gx48ak44la-net-tools') }
    await pathInfos.put(other)
    const listed: string[] = []
    for await (const { storePath } of pathInfos.list()) listed.push(storePath.name)
    expect(listed).toEqual(['dummy', 'net-tools'])
    expect(engine.count('pathInfos')).toBe(2)
  })

  it('DESIGN decision 12: with the same NAR hash, signatures are merged and nothing is lost', async () => {
    const { pathInfos } = await temporaryStore()
    await pathInfos.put(info)
    const second = new Signature('b', new Uint8Array(64))
    const sparse = { ...info, references: [], deriver: undefined, signatures: [second, info.signatures[0]!] }
    const merged = { ...info, signatures: [info.signatures[0]!, second] }
    expect(await pathInfos.put(sparse)).toEqual(merged)
    expect(await pathInfos.get(storePath.digest)).toEqual(merged)
  })

  it('DESIGN decision 12: with another NAR hash, or another name, it already exists', async () => {
    const { pathInfos } = await temporaryStore()
    await pathInfos.put(info)
    await expectStoreError(
      () => pathInfos.put({ ...info, narSha256: new Uint8Array(32).fill(2) }),
      'already-exists',
    )
    const renamed = new StorePath(storePath.digest, 'other')
    await expectStoreError(() => pathInfos.put({ ...info, storePath: renamed }), 'already-exists')
    expect(await pathInfos.get(storePath.digest)).toEqual(info)
  })

  it('a damaged one is data loss, until it is put again', async () => {
    const { pathInfos, engine } = await temporaryStore()
    await pathInfos.put(info)
    const session = engine.write()
    session.put('pathInfos', storePath.digest, Uint8Array.of(1, 2, 3))
    await session.commit()
    await expectStoreError(() => pathInfos.get(storePath.digest), 'data-loss')
    await expectStoreError(async () => {
      for await (const _ of pathInfos.list()) expect.unreachable()
    }, 'data-loss')
    await pathInfos.put(info)
    expect(await pathInfos.get(storePath.digest)).toEqual(info)
  })
})

describe('the measure of a NAR', () => {
  it('is calculated once a root, and outlives the process', async () => {
    const store = await temporaryStore()
    const digest = await store.blobs.put(noise(5000))
    const node: Node = { kind: 'file', digest, size: 5000n, executable: false }
    const expected = await calculateNar(store, node)
    expect(store.engine.count('nars')).toBe(0)
    expect(await store.measureNar(node)).toEqual(expected)
    expect(store.engine.count('nars')).toBe(1)

    // Its content gone, it cannot be rendered any more; the measure is known still.
    const session = store.engine.write()
    session.appendContent(digest.bytes, Buffer.alloc(5000, 'wrong'))
    await session.commit()
    expect(await failureOf(() => calculateNar(store, node))).toMatchObject({ code: 'data-loss' })
    expect(await store.measureNar(node)).toEqual(expected)
    await using again = await openStore(store.engine.path)
    expect(await again.measureNar(node)).toEqual(expected)
    // An executable is another NAR.
    await expect(store.measureNar({ ...node, executable: true })).rejects.toMatchObject({ code: 'data-loss' })
  })

  it('is recorded by an import', async () => {
    const store = await temporaryStore()
    const { node, narSize, narSha256 } = await store.importPath(made('N-6', 'complicated'))
    expect(store.engine.count('nars')).toBe(1)
    expect(await store.measureNar(node)).toEqual({ narSize, narSha256 })
  })
})

describe('addresses', () => {
  const path = 'pngqdzggfqs4q7fg6iywqnlzcgsp85qr-complicated'
  const digest = B3Digest.parse('3f951a15afd586fb3121ef4d13d582e811ce0e5a7f21c0497fd87490e9e2355a')

  it.each([
    [path, path, ''],
    [`/nix/store/${path}`, path, ''],
    [`/nix/store/${path}/`, path, ''],
    [`/nix/store/${path}/keep/.keep`, path, 'keep/.keep'],
    [`/nix/store/${path}/keep/`, path, 'keep'],
    [`${path}/keep`, path, 'keep'],
    [`${path}/keep/`, path, 'keep'],
    [digest.toSri(), digest.toString(), ''],
    [digest.toString(), digest.toString(), ''],
    [digest.toHex(), digest.toString(), ''],
    [`${digest.toSri()}/keep/.keep`, digest.toString(), 'keep/.keep'],
    [`${digest.toHex()}/keep/`, digest.toString(), 'keep'],
    [`${digest.toHex()}/ä`, digest.toString(), 'ä'],
  ])('%s', (address, root, below) => {
    const parsed = parseAddress(address)
    expect([parsed.root.toString(), Buffer.from(parsed.path.bytes).toString()]).toEqual([root, below])
  })

  const refused = [
    '',
    '/',
    '.',
    'complicated',
    '/nix/store',
    '/nix/store/',
    `/gnu/store/${path}`,
    `/nix/store/${path}/..`,
    `${path}/../x`,
    `${path}/./x`,
    `${path}\n`,
    'blake3-abc=',
    `blake3-${digest.toBase64()}x`,
    digest.toHex().slice(1),
    digest.toHex().toUpperCase(),
    `${digest.toHex()}//keep`,
    `/nix/store/${path}//keep`,
    `/nix/store/${path}/a//b`,
    `/nix/store/${path}//`,
    `${path}/a//b`,
    `sha256-${digest.toBase64()}`,
    `${digest.toHex()}/a\0b`,
  ]

  let nothing: Store
  beforeAll(async () => {
    nothing = await temporaryStore()
  })

  it.each(refused)('refused: %j', async (address) => {
    const error = await expectStoreError(() => parseAddress(address), 'invalid-address')
    expect(error.message).toContain('expected a store path')
    await expectStoreError(() => nothing.resolve(address), 'invalid-address')
  })

  it('resolve to nodes', async () => {
    const store = await temporaryStore()
    const { node, storePath } = await store.importPath(made('N-6', 'complicated'))
    expect(node).toMatchObject({ digest })
    const empty = { kind: 'file', digest: B3Digest.EMPTY, size: 0n, executable: false }
    expect(await store.resolve(path)).toMatchObject({ node, storePath })
    expect(await store.resolve(`/nix/store/${path}/keep/.keep`)).toMatchObject({ node: empty, storePath })
    expect((await store.resolve(`${digest.toSri()}/aa`)).node.kind).toBe('symlink')
    expect(await store.resolve(digest.toHex())).toEqual({
      node,
      storePath: undefined,
      path: expect.objectContaining({}),
    })
    const blob = await store.blobs.put(noise(300_000))
    expect((await store.resolve(blob.toHex())).node).toEqual({
      kind: 'file',
      digest: blob,
      size: 300_000n,
      executable: false,
    })
    expect(sha256(await collect(store.nar(`${path}/keep/.keep`)))).toBe(NAR_VECTORS[0]!.sha256)
  })

  it('that name nothing', async () => {
    const store = await temporaryStore()
    await store.importPath(made('N-6', 'complicated'))
    for (const address of [
      '00000000000000000000000000000000-dummy',
      'pngqdzggfqs4q7fg6iywqnlzcgsp85qr-another-name',
      `${path}/void`,
      `${path}/keep/.keep/foo`,
      `${path}/aa/x`,
      'f'.repeat(64),
      `${'f'.repeat(64)}/x`,
    ]) {
      await expectStoreError(() => store.resolve(address), 'not-found')
      await expectStoreError(() => collect(store.nar(address)), 'not-found')
    }
  })
})

describe('opening', () => {
  it.each([
    ['/a/b', '/a/b'],
    ['a/b', 'a/b'],
    ['./with:colon', './with:colon'],
    ['embedded:/a/b', '/a/b'],
    ['embedded:a', 'a'],
    ['embedded:///a/b', '/a/b'],
  ])('%s', (address, path) => {
    expect(embeddedPath(address)).toBe(path)
  })

  it.each([
    ['', 'expected embedded:'],
    ['embedded:', 'expected embedded:'],
    ['embedded://', 'expected embedded:'],
    ['embedded://host/a', 'expected embedded:'],
    ['sled://', 'write embedded:/path/to/folder'],
    ['sled:///var/lib/tvix', 'write embedded:/path/to/folder'],
    ['redb://', 'write embedded:/path/to/folder'],
    ['redb:///var/lib/tvix/directories.redb', 'write embedded:/path/to/folder'],
    ['memory://', 'got scheme memory'],
    ['grpc+http://[::1]:8000', 'got scheme grpc+http'],
    ['https://cache.nixos.org', 'got scheme https'],
    ['file:///a', 'got scheme file'],
  ])('refused: %j', async (address, advice) => {
    const error = await expectStoreError(() => openStore(address), 'invalid-address')
    expect(error.message).toContain(advice)
    expect(error.message.startsWith(address)).toBe(true)
  })

  it('makes a store where there is none, unless told otherwise', async () => {
    const path = join(temporaryFolder(), 'deep', 'store')
    expect(await failureOf(() => openStore(path, { create: false }))).toMatchObject({ code: 'not-a-store' })
    expect(await failureOf(() => openStore(path, { readOnly: true }))).toMatchObject({ code: 'not-a-store' })
    expect(existsSync(path)).toBe(false)
    await (await openStore(`embedded:${path}`)).close()
    expect(existsSync(join(path, 'FORMAT'))).toBe(true)
    await (await openStore(path, { create: false })).close()
  })

  it('a folder with something else in it is refused', async () => {
    const path = temporaryFolder()
    writeFileSync(join(path, 'precious'), 'data')
    expect(await failureOf(() => openStore(path))).toMatchObject({ code: 'not-a-store' })
  })

  it('07 DESIGN decision 7: where the store lies unless it is named', async () => {
    const state = join(homedir(), '.local/state/neve')
    const asUser = process.getuid?.() !== 0
    expect(defaultStorePath({ NEVE_STORE: '/a' })).toBe('/a')
    expect(defaultStorePath({ NEVE_STORE: 'embedded:/a', XDG_STATE_HOME: '/b' })).toBe('/a')
    expect(defaultStorePath({})).toBe(asUser ? state : '/var/lib/neve')
    expect(defaultStorePath({ NEVE_STORE: '' })).toBe(asUser ? state : '/var/lib/neve')
    await expectStoreError(() => defaultStorePath({ NEVE_STORE: 'sled:///a' }), 'invalid-address')
  })

  it('… for somebody who is not root', ({ skip }) => {
    const script = `import { defaultStorePath } from '@neve/store-pathinfo'
      const from = (state) => defaultStorePath({ XDG_STATE_HOME: state })
      console.log(JSON.stringify([from('/state'), from(''), from(undefined)]))`
    const { status, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      cwd: new URL('.', import.meta.url),
      env: { HOME: '/home/somebody' },
      ...(process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {}),
    })
    if (status !== 0 && process.env['NEVE_TEST_REQUIRE'] !== 'all')
      skip(`another user cannot run this: ${stderr}`)
    const home = '/home/somebody/.local/state/neve'
    expect(JSON.parse(stdout.toString())).toEqual(['/state/neve', home, home])
  })

  it('$NEVE_STORE is opened', async () => {
    const path = join(temporaryFolder(), 'named')
    const before = process.env['NEVE_STORE']
    process.env['NEVE_STORE'] = path
    try {
      await using store = await openStore()
      expect(store.engine.path).toBe(path)
    } finally {
      if (before === undefined) delete process.env['NEVE_STORE']
      else process.env['NEVE_STORE'] = before
    }
  })
})

describe('closing', () => {
  it('ends everything, and twice is once', async () => {
    let kept: Store
    {
      await using store = await openStore(join(temporaryFolder(), 'store'))
      await store.importPath(makeRandomTree(41, 400))
      kept = store
    }
    await kept.close()
    expect(await failureOf(() => kept.importPath('/etc/hostname'))).toMatchObject({ code: 'closed' })
    expect(await failureOf(() => kept.resolve('f'.repeat(64)))).toMatchObject({ code: 'closed' })
    expect(await failureOf(() => kept.pathInfos.get(new Uint8Array(20)))).toMatchObject({ code: 'closed' })
  })

  it('what was imported is there when it is opened again', async () => {
    const path = join(temporaryFolder(), 'store')
    const tree = join(temporaryFolder(), 'tree')
    mkdirSync(tree)
    makeComplicated(join(tree, 'c'))
    symlinkSync('c', join(tree, 'link'))
    const store = await openStore(path)
    const { storePath, pathInfo } = await store.importPath(tree)
    await store.close()
    await using again = await openStore(path)
    expect(await again.pathInfos.get(storePath.digest)).toEqual(pathInfo)
    expect((await collect(again.nar(String(storePath)))).equals(await collect(dumpPath(tree)))).toBe(true)
  })
})
