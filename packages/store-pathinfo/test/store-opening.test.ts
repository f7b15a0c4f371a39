import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { dumpPath } from '@neve/nar/node'
import {
  defaultStoreAddress,
  embeddedPath,
  openLocalStore,
  openStore,
  type Store,
} from '@neve/store-pathinfo'
import { describe, expect, it } from 'vitest'
import { makeComplicated, makeRandomTree } from './host-trees.js'
import { collect, expectStoreError, failureOf, temporaryFolder } from './support.js'

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
    const error = await expectStoreError(() => openLocalStore(address), 'invalid-address')
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
    expect(defaultStoreAddress({ NEVE_STORE: '/a' })).toBe('/a')
    expect(defaultStoreAddress({ NEVE_STORE: 'embedded:/a', XDG_STATE_HOME: '/b' })).toBe('embedded:/a')
    expect(defaultStoreAddress({})).toBe(asUser ? state : '/var/lib/neve')
    expect(defaultStoreAddress({ NEVE_STORE: '' })).toBe(asUser ? state : '/var/lib/neve')
    expect(defaultStoreAddress({ NEVE_STORE: 'grpc+unix:/a' })).toBe('grpc+unix:/a')
  })

  it('… for somebody who is not root', ({ skip }) => {
    const script = `import { defaultStoreAddress } from '@neve/store-pathinfo'
      const from = (state) => defaultStoreAddress({ XDG_STATE_HOME: state })
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
      expect(store.engine?.path).toBe(path)
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
