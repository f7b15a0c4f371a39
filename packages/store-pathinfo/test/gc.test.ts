import { mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { B3Digest } from '@neve/castore-model'
import { DigestSet, eachChild, parentsFirst } from '@neve/castore-services/gc'
import { EmbeddedStore } from '@neve/embedded-store'
import { type LocalStore, openLocalStore } from '@neve/store-pathinfo'
import { collectGarbage, listRoots, removeRoot, setRoot } from '@neve/store-pathinfo/gc'
import { expect, it } from 'vitest'
import { checkPackage, closureOf, packageOf, pathInfoOf, pathOf, putTree } from './gc-universe.mjs'
import { expectStoreError, failureOf, temporaryFolder } from './support.js'

const NOW = { all: true, olderThan: 0 }

async function put(store: LocalStore, number: number): Promise<void> {
  for (const one of closureOf(number)) {
    await putTree(store, packageOf(one))
    await store.pathInfos.put(pathInfoOf(one))
  }
}

/** A closed store with these packages, of which those are rooted. */
async function storeWith(packages: readonly number[], rooted: readonly number[] = []): Promise<string> {
  const folder = join(temporaryFolder(), 'store')
  await using store = await openLocalStore(folder)
  for (const number of packages) await put(store, number)
  for (const number of rooted) await setRoot(store.engine, { name: `root ${number}`, target: pathOf(number) })
  return folder
}

it('removes what no root keeps, and nothing else', async () => {
  const folder = await storeWith([3, 9, 14], [9])
  const kept = closureOf(9)
  const dry = await collectGarbage(folder, { ...NOW, dryRun: true })
  const done = await collectGarbage(folder, NOW)
  expect(done.paths.map(String).sort()).toEqual(dry.paths.map(String).sort())
  expect(dry).toMatchObject({ removed: 0, keptPaths: kept.length, directories: done.directories })
  expect(done.removed).toBeGreaterThanOrEqual(done.paths.length + done.directories + done.contents)
  expect(done.waitingFor).toEqual([])
  await using store = await openLocalStore(folder)
  await checkPackage(store, 9)
  expect(store.engine.count('pathInfos')).toBe(kept.length)
  expect(await collectGarbage(folder, { ...NOW, dryRun: true })).toMatchObject({
    paths: [],
    directories: 0,
    contents: 0,
  })
})

it('keeps directories and blobs that are roots by their digests', async () => {
  const folder = await storeWith([3])
  const content = Buffer.from('a blob on its own')
  {
    await using store = await openLocalStore(folder)
    const blob = await store.blobs.put(content)
    await setRoot(store.engine, { name: 'blob', target: blob })
    await setRoot(store.engine, { name: 'tree', target: packageOf(3).directory.digest() })
  }
  await collectGarbage(folder, NOW)
  await using store = await openLocalStore(folder)
  expect(store.engine.count('pathInfos')).toBe(0)
  expect(await store.blobs.get(B3Digest.of(content))).toEqual(new Uint8Array(content))
  await store.pathInfos.put({ ...pathInfoOf(3), references: [] })
  const { node } = await store.resolve(`${pathOf(3)}/own`)
  expect(node.kind).toBe('file')
  expect(listRoots(store.engine).map(({ name }) => name)).toEqual(['blob', 'tree'])
})

it('keeps what symlinks in a folder lead to, one after another and in folders below', async () => {
  const folder = await storeWith([3, 9, 14])
  const roots = temporaryFolder()
  mkdirSync(join(roots, 'auto'))
  symlinkSync(`${pathOf(14).toAbsolute()}/own`, join(roots, 'direct'))
  symlinkSync(join(roots, 'direct'), join(roots, 'auto', 'indirect'))
  symlinkSync('/nowhere', join(roots, 'dangling'))
  symlinkSync('..', join(roots, 'auto', 'up'))
  const engine = await EmbeddedStore.open(folder)
  await setRoot(engine, { name: 'links', folder: roots })
  await engine.close()
  await collectGarbage(folder, NOW)
  await using store = await openLocalStore(folder)
  await checkPackage(store, 14)
  expect(store.engine.count('pathInfos')).toBe(closureOf(14).length)
})

it('refuses to remove everything, and to take a folder of roots that is gone for an empty one', async () => {
  const folder = await storeWith([3])
  await expectStoreError(() => collectGarbage(folder), 'unsupported')
  const engine = await EmbeddedStore.open(folder)
  await expectStoreError(() => setRoot(engine, { name: 'links', folder: join(folder, 'gone') }), 'not-found')
  const roots = temporaryFolder()
  mkdirSync(join(roots, 'roots'))
  await setRoot(engine, { name: 'links', folder: join(roots, 'roots') })
  await engine.close()
  const { rmdirSync } = await import('node:fs')
  rmdirSync(join(roots, 'roots'))
  await expectStoreError(() => collectGarbage(folder, NOW), 'not-found')
  await using store = await openLocalStore(folder)
  await checkPackage(store, 3)
})

it('keeps what was stored a short time ago', async () => {
  const folder = await storeWith([3], [])
  expect(await collectGarbage(folder, { all: true })).toMatchObject({ paths: [], removed: 0 })
  expect((await collectGarbage(folder, NOW)).paths.map(String)).toContain(String(pathOf(3)))
})

it('waits for who began before, and takes up what they lean on', async () => {
  const folder = await storeWith([3, 9, 14], [9])
  const writer = await openLocalStore(folder)
  // It goes by what is there.
  expect(await writer.pathInfos.has(pathOf(14).digest)).toBe(true)
  const first = await collectGarbage(folder, { ...NOW, patience: 0 })
  expect(first).toMatchObject({ removed: 0, waitingFor: [{ pid: process.pid }] })
  // Condemned, but there for who was at work before, and for readers.
  await checkPackage(writer, 14)
  await setRoot(writer.engine, { name: 'root 14', target: pathOf(14) })
  // Who comes now takes it for absent until it is known to be leaned on; reading it says so.
  await using later = await openLocalStore(folder)
  await checkPackage(later, 14)
  await writer.close()
  await later.close()
  await collectGarbage(folder, NOW)
  await collectGarbage(folder, NOW)
  await using store = await openLocalStore(folder)
  await checkPackage(store, 9)
  await checkPackage(store, 14)
  expect(store.engine.count('pathInfos')).toBe(new Set([...closureOf(9), ...closureOf(14)]).size)
})

it('a root is refused for what is not in the store, and one that is not there cannot be removed', async () => {
  const folder = await storeWith([3])
  await using engine = await EmbeddedStore.open(folder)
  await expectStoreError(() => setRoot(engine, { name: 'x', target: pathOf(27) }), 'not-found')
  await expectStoreError(() => setRoot(engine, { name: '', target: pathOf(3) }), 'invalid-name')
  await expectStoreError(() => removeRoot(engine, 'x'), 'not-found')
  expect((await failureOf(() => collectGarbage(join(folder, 'nothing')))).code).toBe('not-a-store')
})

it('stays away from a directory that it cannot read', async () => {
  const folder = await storeWith([3], [3])
  const engine = await EmbeddedStore.open(folder)
  const session = engine.write()
  session.put('directories', packageOf(3).directory.digest().bytes, Buffer.from('no directory'))
  await session.commit()
  await engine.close()
  expect(await failureOf(() => collectGarbage(folder, NOW))).toMatchObject({ code: 'data-loss' })
  await using store = await openLocalStore(folder)
  expect(store.engine.count('pathInfos')).toBe(closureOf(3).length)
})

it('finds in an encoding what a decoder finds', () => {
  for (let number = 0; number < 28; number++) {
    const { directory } = packageOf(number)
    const encoded = directory.encode()
    const found: string[] = []
    expect(
      eachChild(encoded, (kind, at) => found.push(`${kind} ${B3Digest.from(encoded.slice(at, at + 32))}`)),
    ).toBe(true)
    const expected = directory.entries.map(
      ({ node }) => `${node.kind} ${'digest' in node ? node.digest : ''}`,
    )
    expect(found.sort()).toEqual(expected.sort())
    for (let cut = 1; cut < encoded.length; cut++) {
      const names: string[] = []
      const whole = eachChild(encoded.subarray(0, cut), (kind) => names.push(kind))
      expect(whole ? names.length : 0).toBeLessThanOrEqual(expected.length)
    }
  }
})

it('puts what refers to others before these', () => {
  const of = (number: number): Uint8Array => pathOf(number).digest
  const all = Array.from({ length: 28 }, (_, number) => of(27 - number))
  const numbers = new Map(
    Array.from({ length: 28 }, (_, number) => [Buffer.from(of(number)).toString('hex'), number]),
  )
  const ordered = parentsFirst(all, (one) =>
    packageOf(numbers.get(Buffer.from(one).toString('hex'))!).references.map(of),
  )
  const order = [...ordered].map((one) => numbers.get(Buffer.from(one).toString('hex'))!)
  expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 28 }, (_, number) => number))
  for (const [at, number] of order.entries()) {
    for (const reference of packageOf(number).references) expect(order.indexOf(reference)).toBeGreaterThan(at)
  }
})

it('a set of digests has what was added and nothing else', () => {
  const set = new DigestSet()
  const digests = Array.from({ length: 5000 }, (_, i) => B3Digest.of(Buffer.from(`${i}`)).bytes)
  for (const digest of digests.slice(0, 2500)) expect(set.add(digest)).toBe(true)
  for (const digest of digests.slice(0, 2500)) expect(set.add(digest)).toBe(false)
  for (const [i, digest] of digests.entries()) expect(set.has(digest)).toBe(i < 2500)
  expect(set.size).toBe(2500)
  const other = new DigestSet()
  for (const digest of digests.slice(2000, 4000)) other.add(digest)
  set.addAll(other)
  for (const [i, digest] of digests.entries()) expect(set.has(digest)).toBe(i < 4000)
  expect([set.size, other.size]).toEqual([4000, 2000])
})
