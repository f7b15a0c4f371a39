import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Node } from '@neve/castore-model'
import { type LocalStore, openStore, type Store } from '@neve/store-pathinfo'
import { listRoots, setRoot } from '@neve/store-pathinfo/gc'
import {
  type MigratedPath,
  type MigrateStoreOptions,
  migrateRoots,
  migrateStore,
} from '@neve/store-pathinfo/migrate'
import { describe, expect, it } from 'vitest'
import { damage } from './damage.js'
import { noise } from './host-trees.js'
import { addDiamond } from './push-fixture.js'
import { collect, failureOf, temporaryFolder, temporaryStore } from './support.js'
import { faultsOf } from './verify-fixture.js'

async function migrated(from: Store, to: Store, options: MigrateStoreOptions = {}): Promise<MigratedPath[]> {
  const paths: MigratedPath[] = []
  for await (const path of migrateStore({ from, to }, options)) paths.push(path)
  return paths
}

/** Folders three deep, so that the two rules differ. */
function deepTree(): string {
  const tree = join(temporaryFolder(), 'deep')
  mkdirSync(join(tree, 'a/b/c'), { recursive: true })
  for (const file of ['file', 'a/file', 'a/b/c/file']) writeFileSync(join(tree, file), `content of ${file}`)
  writeFileSync(join(tree, 'a/large'), noise(1_500_000))
  return tree
}

const rootKey = (node: Node): string => (node.kind === 'directory' ? node.digest.toHex() : node.kind)

/** A store with directories that count twice, and what once would be. */
async function twiceStore(): Promise<{ store: LocalStore; path: string; once: string }> {
  const store = await temporaryStore()
  const tree = deepTree()
  const { storePath } = await store.importPath(tree, { directorySizes: 'twice' })
  const other = await temporaryStore()
  const { node } = await other.importPath(tree, { directorySizes: 'once' })
  return { store, path: storePath.toAbsolute(), once: rootKey(node) }
}

describe('a whole store is copied', () => {
  it.each([
    ['another embedded store', (folder: string) => folder],
    ['an object store', (folder: string) => `objectstore+file://${folder}`],
    ['memory', () => 'memory:'],
  ])('to %s, references first, and the second time nothing travels', async (_, addressOf) => {
    const store = await temporaryStore()
    const { top } = await addDiamond(store)
    await using to = await openStore(addressOf(join(temporaryFolder(), 'target')))
    const first = await migrated(store, to)
    expect(first).toHaveLength(8)
    expect(first.every(({ present, repointed }) => !present && repointed === undefined)).toBe(true)
    const order = first.map(({ storePath }) => storePath.name)
    expect(order.lastIndexOf('base')).toBeLessThan(order.lastIndexOf('top'))
    expect((await to.pathInfos.get(top.storePath.digest))?.signatures.map(String)).toEqual(
      top.signatures.map(String),
    )
    expect(await faultsOf(to, { nar: true, references: true })).toEqual([])
    const again = await migrated(store, to)
    expect(again.every(({ present, bytes }) => present && bytes === 0)).toBe(true)
  })

  it('with the roots that garbage collection goes by', async () => {
    const store = await temporaryStore()
    const { base } = await addDiamond(store)
    const loose = await store.blobs.put(Buffer.from('of no store path'))
    await setRoot(store.engine, { name: 'base', target: base.storePath })
    await setRoot(store.engine, { name: 'loose', target: loose })
    const to = await temporaryStore()
    await migrated(store, to)
    expect(await migrateRoots({ from: store, to })).toBe(2)
    expect(listRoots(to.engine)).toEqual(listRoots(store.engine))
    expect(await to.blobs.has(loose)).toBe(true)
  })

  it('but for what cannot be read, which is told', async () => {
    const { store, path } = await twiceStore()
    const { top } = await addDiamond(store)
    const { node } = await store.resolve(`${path}/file`)
    if (node.kind !== 'file') throw new Error('it is a file')
    damage(store, node.digest)
    const failed: string[] = []
    const to = await temporaryStore()
    await migrated(store, to, { onFailure: (storePath) => failed.push(storePath.toAbsolute()) })
    expect(failed).toEqual([path])
    expect(await to.pathInfos.has(top.storePath.digest)).toBe(true)
    expect(await faultsOf(to, { nar: true })).toEqual([])
    await failureOf(() => migrated(store, to))
  })
})

describe('directories that count twice', () => {
  it('are made anew on the way, and path infos point to them', async () => {
    const { store, path, once } = await twiceStore()
    const to = await temporaryStore()
    const [report] = await migrated(store, to, { directorySizes: 'once' })
    expect(report).toMatchObject({ present: false, rewrittenDirectories: 3 })
    expect(rootKey(report!.repointed!.before)).not.toBe(once)
    expect(rootKey(report!.repointed!.after)).toBe(once)
    expect(rootKey((await to.resolve(path)).node)).toBe(once)
    expect(await faultsOf(to, { nar: true })).toEqual([])
    expect(await collect(to.nar(path))).toEqual(await collect(store.nar(path)))
    const again = await migrated(store, to, { directorySizes: 'once' })
    expect(again[0]).toMatchObject({ present: true, bytes: 0 })
    // And back.
    const back = await temporaryStore()
    await migrated(to, back, { directorySizes: 'twice' })
    expect(rootKey((await back.resolve(path)).node)).toBe(rootKey((await store.resolve(path)).node))
  })

  it('are made anew in place', async () => {
    const { store, path, once } = await twiceStore()
    const before = await collect(store.nar(path))
    const [report] = await migrated(store, store, { directorySizes: 'once' })
    expect(report).toMatchObject({ present: false, blobs: 0, bytes: 0, directories: 3 })
    expect(rootKey((await store.resolve(path)).node)).toBe(once)
    expect(await collect(store.nar(path))).toEqual(before)
    expect(await migrated(store, store, { directorySizes: 'once' })).toMatchObject([
      { present: true, repointed: undefined, rewrittenDirectories: 0 },
    ])
  })

  it('that a target has already are repointed there', async () => {
    const { store, path, once } = await twiceStore()
    const to = await temporaryStore()
    await migrated(store, to)
    expect(rootKey((await to.resolve(path)).node)).not.toBe(once)
    await migrated(store, to, { directorySizes: 'once' })
    expect(rootKey((await to.resolve(path)).node)).toBe(once)
    expect(await faultsOf(to, { nar: true })).toEqual([])
  })
})
