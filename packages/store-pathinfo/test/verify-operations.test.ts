import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  allPathDigests,
  type Damage,
  openLocalStore,
  type VerifyPathsOptions,
  VerifyStateFile,
  verifyPaths,
} from '@neve/store-pathinfo'
import { describe, expect, it } from 'vitest'
import { damage } from './damage.js'
import { noise } from './host-trees.js'
import { addPath } from './push-fixture.js'
import { collect, expectStoreError, failureOf, temporaryFolder, temporaryStore, toHex } from './support.js'
import { copied, faultsOf, fillSample } from './verify-fixture.js'

async function damagesOf(
  store: Parameters<typeof verifyPaths>[0],
  options: VerifyPathsOptions,
): Promise<Damage[]> {
  const damages: Damage[] = []
  for await (const path of verifyPaths(store, allPathDigests(store), options)) damages.push(...path.damages)
  return damages
}

describe('what cannot be mended', () => {
  it('is marked: readers get an error that names it, and an import heals it', async () => {
    const store = await temporaryStore()
    const tree = join(temporaryFolder(), 'tree')
    mkdirSync(join(tree, 'folder'), { recursive: true })
    const [small, large] = [noise(3000, 31), noise(2_000_000, 32)]
    writeFileSync(join(tree, 'small'), small)
    writeFileSync(join(tree, 'folder/large'), large)
    const { storePath, node } = await store.importPath(tree)
    const smallDigest = await store.blobs.put(small)
    const largeDigest = (await store.resolve(`${storePath}/folder/large`)).node
    if (largeDigest.kind !== 'file') throw new Error('it is a file')
    const chunks = (await store.blobs.chunks(largeDigest.digest))!
    damage(store, smallDigest)
    damage(store, chunks[1]!.digest)
    // Without being asked to, nothing is changed.
    expect((await damagesOf(store, {})).map(({ kind, marked }) => [kind, marked])).toEqual([
      ['chunk-damaged', false],
      ['blob-damaged', false],
    ])
    expect(await store.blobs.has(smallDigest)).toBe(true)
    const marked = await damagesOf(store, { mark: true })
    expect(marked.map(({ kind, marked }) => [kind, marked])).toEqual([
      ['chunk-damaged', true],
      ['blob-damaged', true],
    ])
    expect(await store.blobs.has(smallDigest)).toBe(false)
    expect(await store.blobs.open(smallDigest)).toBeUndefined()
    const error = await failureOf(() => collect(store.nar(node)))
    expect(error.message).toContain(String(chunks[1]!.digest))
    expect((await damagesOf(store, {})).map(({ kind }) => kind)).toEqual(['chunk-missing', 'blob-missing'])
    await store.importPath(tree)
    expect(await damagesOf(store, { nar: true })).toEqual([])
    expect((await collect(store.nar(node))).length).toBeGreaterThan(2_000_000)
  })

  it('is marked when a directory or a list of chunks is damaged, too', async () => {
    const sample = await fillSample(await temporaryStore())
    const { store, keep, large, info } = sample
    const backup = await temporaryStore()
    await copied(sample, backup)
    const session = store.engine.write()
    session.put('directories', keep.bytes, Buffer.from('something else'))
    session.put('blobs', large.digest.bytes, Buffer.from('something else'))
    await session.commit()
    const marked = await damagesOf(store, { mark: true })
    expect(marked.map(({ kind, marked }) => [kind, marked]).sort()).toEqual([
      ['chunk-list-damaged', true],
      ['directory-damaged', true],
    ])
    expect(await store.directories.get(keep)).toBeUndefined()
    // A push takes both along, though the path info is there.
    await copied({ ...sample, store: backup as typeof store }, store)
    expect(await faultsOf(store, { nar: true })).toEqual([])
    expect((await store.pathInfos.get(info.storePath.digest))?.storePath.equals(info.storePath)).toBe(true)
  })

  it('stays as it is where the store is open for reading only', async () => {
    const { store, small } = await fillSample(await temporaryStore())
    damage(store, small.digest)
    await using reader = await openLocalStore(store.engine.path, { readOnly: true })
    expect((await failureOf(() => damagesOf(reader, { mark: true }))).code).toBe('no-permission')
    expect(reader.engine.hasContent(small.digest.bytes)).toBe(true)
  })
})

describe('a verification in threads', () => {
  it('finds each damaged blob among thousands, and no other', async () => {
    const store = await temporaryStore()
    const tree = join(temporaryFolder(), 'tree')
    mkdirSync(tree)
    const contents = Array.from({ length: 3000 }, (_, i) => noise(100 + (i % 700), i + 1))
    for (const [i, content] of contents.entries())
      writeFileSync(join(tree, String(i).padStart(4, '0')), content)
    await store.importPath(tree)
    const broken = [0, 1, 511, 512, 1700, 2999]
    for (const i of broken) damage(store, await store.blobs.put(contents[i]!))
    const damages = await damagesOf(store, { bandwidth: 1_000_000_000 })
    expect(damages.map(({ path, kind }) => [Number(Buffer.from(path)), kind])).toEqual(
      broken.map((i) => [i, 'blob-damaged']),
    )
  })

  it('ends when it is called off, however slowly it may read', async () => {
    const { store } = await fillSample(await temporaryStore())
    const controller = new AbortController()
    const reason = new Error('called off')
    const verifying = damagesOf(store, {
      bandwidth: 1,
      signal: controller.signal,
      onProgress: () => controller.abort(reason),
    })
    setImmediate(() => controller.abort(reason))
    expect(await failureOf(() => verifying)).toBe(reason)
  })
})

describe('the state of a verification', () => {
  it('goes on after the store path that was checked last', async () => {
    const store = await temporaryStore()
    for (const name of ['a', 'b', 'c', 'd']) await addPath(store, name)
    const all: string[] = []
    for await (const digest of allPathDigests(store)) all.push(toHex(digest))
    expect([...all].sort()).toEqual(all)
    expect(all).toHaveLength(8)
    const after = Buffer.from(all[2]!, 'hex')
    const rest: string[] = []
    for await (const digest of allPathDigests(store, { after })) rest.push(toHex(digest))
    expect(rest).toEqual(all.slice(3))
    // The same where paths are listed instead of looked up.
    const { pathInfos } = store
    const listed: string[] = []
    for await (const digest of allPathDigests({ engine: undefined, pathInfos }, { after }))
      listed.push(toHex(digest))
    expect(listed).toEqual(rest)
  })

  it('is kept in a file, and not taken for that of another', async () => {
    const path = join(temporaryFolder(), 'state')
    const file = new VerifyStateFile(path, 'a store')
    expect(await file.read()).toBeUndefined()
    const state = { after: Buffer.alloc(20, 7), counts: { paths: 3, bytes: 2 ** 40 } }
    await file.write(state)
    // Again at once is too often.
    await file.write({ after: Buffer.alloc(20, 8), counts: {} })
    expect(await new VerifyStateFile(path, 'a store').read()).toEqual(state)
    const error = await expectStoreError(() => new VerifyStateFile(path, 'another').read(), 'invalid-input')
    expect(error.message).toContain('of a store, not of another')
    for (const text of [
      '',
      'no JSON',
      '{}',
      readFileSync(path, 'utf8').replace('"version":1', '"version":2'),
    ]) {
      writeFileSync(path, text)
      await expectStoreError(() => file.read(), 'invalid-input')
    }
    writeFileSync(path, ' '.repeat(1 << 20))
    for (const other of [path, '/dev/zero', temporaryFolder()]) {
      await expectStoreError(() => new VerifyStateFile(other, 'a store').read(), 'invalid-input')
    }
    await file.remove()
    await file.remove()
    expect(await file.read()).toBeUndefined()
  })
})
