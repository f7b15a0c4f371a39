import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { dumpPath } from '@neve/nar/node'
import { ContentAddress, NixHash } from '@neve/nix-compat'
import { openLocalStore, storePathName } from '@neve/store-pathinfo'
import { describe, expect, it } from 'vitest'
import { makeRandomTree, makeVector, NAR_VECTORS } from './host-trees.js'
import { collect, expectStoreError, failureOf, hex, temporaryStore, toHex } from './support.js'

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

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
    const path = makeVector(id, name)
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
    const other = await store.importPath(makeVector(id, 'other'), { name })
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
    const path = makeVector('N-6', 'complicated')
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
    const path = makeVector('N-6', 'complicated')
    await using two = await openLocalStore(one.engine.path)
    const [a, b] = await Promise.all([one.importPath(path), two.importPath(path)])
    expect(a.storePath.equals(b.storePath)).toBe(true)
    await using three = await openLocalStore(one.engine.path, { readOnly: true })
    expect(await collect(three.nar(a.storePath))).toHaveLength(840)
    await expect(three.importPath(path)).rejects.toMatchObject({ code: 'no-permission' })
  })
})

describe('07#35 07 section 9.1 the name of an imported path', () => {
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
