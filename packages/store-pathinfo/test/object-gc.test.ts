import { randomBytes } from 'node:crypto'
import { Collection } from '@neve/castore-services/object-gc'
import type { ObjectStore } from '@neve/castore-services/object-store'
import { StoreError } from '@neve/store-pathinfo'
import {
  collectObjects,
  listObjectRoots,
  removeObjectRoot,
  setObjectRoot,
} from '@neve/store-pathinfo/object-gc'
import { describe, expect, it } from 'vitest'
import { DAY, expectWhole, HOUR, ObjectStoreFolder } from './object-gc-fixture.js'

const LARGE = randomBytes(3 * 1024 * 1024)
const SETTLED = { settled: 0 }

describe('garbage in an object store', () => {
  it('goes, and what a root leads to stays, whole', async () => {
    await using place = await ObjectStoreFolder.create()
    const kept = await place.import('kept', { 'a/b': 'shared', 'a/large': LARGE, c: 'mine' })
    const before = await place.keys()
    const lost = await place.import('lost', { 'x/y': 'shared', z: randomBytes(700_000), empty: '' })
    await setObjectRoot(place.objects, { name: 'kept', target: kept.storePath })
    await collectObjects(place.objects, SETTLED)
    await place.age(3 * DAY)

    const collected = await collectObjects(place.objects, SETTLED)
    expect(collected.paths.map(String)).toEqual([lost.storePath.toString()])
    expect(collected).toMatchObject({ keptPaths: 1, notBefore: undefined })
    expect(collected.bytes).toBeGreaterThan(500_000)
    const after = (await place.keys()).filter((key) => !/^neve\/(gc|roots|dirs)\//.test(key))
    expect(after).toEqual(before.filter((key) => !key.startsWith('neve/dirs/')))
    await using store = await place.open()
    await expectWhole(store, [kept.storePath.digest])
    expect(await store.pathInfos.get(lost.storePath.digest)).toBeUndefined()

    // Stored anew it is whole again, whatever is shared.
    const again = await place.import('lost', {})
    await expectWhole(store, [again.storePath.digest])
  })

  it('is looked for by a first collection, which removes nothing before everybody knows', async () => {
    await using place = await ObjectStoreFolder.create()
    await place.import('lost', { a: 'lost' })
    await place.age(3 * DAY)
    const before = await place.keys()
    const first = await collectObjects(place.objects, { all: true })
    expect(first.paths).toHaveLength(1)
    expect(first.notBefore).toBeGreaterThan(Date.now() + 23 * HOUR)
    expect(await place.keys()).toEqual([...before, 'neve/gc/grace', 'neve/gc/sweep'].sort())
    // The same a second later; another grace age is told to everybody anew.
    expect((await collectObjects(place.objects, { all: true })).notBefore).toBe(first.notBefore)
    await place.age(3 * DAY, 'neve/gc')
    expect((await collectObjects(place.objects, { all: true, grace: HOUR })).notBefore).toBeDefined()
    await place.age(3 * DAY, 'neve/gc')
    expect(await collectObjects(place.objects, { all: true })).toMatchObject({
      notBefore: undefined,
      objects: 4,
    })
  })

  it('is told by a dry run, which writes nothing', async () => {
    await using place = await ObjectStoreFolder.create()
    const lost = await place.import('lost', { a: 'lost' })
    await place.age(3 * DAY)
    const before = await place.keys()
    const told = await collectObjects(place.objects, { dryRun: true })
    expect(told.paths.map(String)).toEqual([lost.storePath.toString()])
    expect(told.objects).toBe(before.length)
    expect(await place.keys()).toEqual(before)
  })

  it('is nothing that is younger than the grace age, nor what that refers to', async () => {
    await using place = await ObjectStoreFolder.create()
    const parent = await place.import('parent', { 'a/b': LARGE })
    await collectObjects(place.objects, { all: true, ...SETTLED })
    await place.age(3 * DAY)
    for (const young of ['neve/pathinfo', 'dirs']) {
      await place.age(0, young)
      expect((await collectObjects(place.objects, { all: true, ...SETTLED })).paths).toEqual([])
      await using store = await place.open()
      // Asked without a service of ours, which would keep it.
      expect(await place.keys('chunks/')).not.toEqual([])
      if (young === 'neve/pathinfo') await expectWhole(store, [parent.storePath.digest])
      await place.age(3 * DAY)
      if (young === 'neve/pathinfo') await place.objects.delete((await place.keys('neve/pathinfo/'))[0]!)
    }
    await collectObjects(place.objects, { all: true, ...SETTLED })
    expect(await place.keys('chunks/')).toEqual([])
    expect(await place.keys('blobs/')).toEqual([])
  })

  it('is kept by --older-than, and no further than --max-freed', async () => {
    await using place = await ObjectStoreFolder.create()
    await place.import('one', { a: randomBytes(300_000) })
    await place.import('two', { a: randomBytes(300_000) })
    await collectObjects(place.objects, { all: true, ...SETTLED })
    await place.age(3 * DAY)
    const chunks = await place.keys('chunks/')
    expect((await collectObjects(place.objects, { ...SETTLED, olderThan: 7 * DAY })).objects).toBe(0)
    const one = await collectObjects(place.objects, { ...SETTLED, olderThan: 2 * DAY, maxFreed: 1 })
    expect(one.bytes).toBeGreaterThan(0)
    expect(await place.keys('chunks/')).toEqual(chunks)
    await collectObjects(place.objects, { ...SETTLED, all: true })
    expect(await place.keys('chunks/')).toEqual([])
  })

  it('is everything only when that is asked for', async () => {
    await using place = await ObjectStoreFolder.create()
    await place.import('lost', { a: 'lost' })
    await place.age(3 * DAY)
    const refused = { name: 'StoreError', code: 'unsupported' }
    await expect(collectObjects(place.objects, SETTLED)).rejects.toMatchObject(refused)
    for (const key of await place.keys('neve/pathinfo/')) await place.objects.delete(key)
    // Its path infos may be elsewhere.
    await expect(collectObjects(place.objects, { ...SETTLED, olderThan: 0 })).rejects.toMatchObject(refused)
    expect(await place.keys('chunks/')).not.toEqual([])
  })

  it('is not guessed at from what cannot be read', async () => {
    await using place = await ObjectStoreFolder.create()
    const kept = await place.import('kept', { 'a/b': LARGE })
    await setObjectRoot(place.objects, { name: 'kept', target: kept.storePath })
    await collectObjects(place.objects, SETTLED)
    for (const prefix of ['neve/roots/', 'neve/pathinfo/', 'dirs/', 'blobs/', 'neve/gc/grace']) {
      const key = (await place.keys(prefix)).at(-1)!
      const sound = (await place.objects.get(key))!
      await place.objects.put(key, sound.subarray(0, sound.length - 3))
      await place.age(3 * DAY)
      const before = await place.keys()
      const damage = expect.objectContaining({ code: 'data-loss' })
      await expect(collectObjects(place.objects, SETTLED), prefix).rejects.toEqual(damage)
      expect(await place.keys()).toEqual(before)
      await place.objects.put(key, sound)
    }
  })

  it('keeps the path infos that are removed whole to the last: those that refer to others go first', async () => {
    await using place = await ObjectStoreFolder.create()
    const low = await place.import('low', { a: 'low' })
    await using store = await place.open()
    const info = (await store.pathInfos.get(low.storePath.digest))!
    const high = await place.import('high', { a: 'high' })
    const highInfo = (await store.pathInfos.get(high.storePath.digest))!
    await store.pathInfos.put({ ...highInfo, references: [info.storePath] }, { overwrite: true })
    await collectObjects(place.objects, { all: true, ...SETTLED })
    await place.age(3 * DAY)
    const { paths } = await collectObjects(place.objects, { all: true, ...SETTLED })
    expect(paths.map(({ name }) => name)).toEqual(['high', 'low'])
  })
})

describe('who counts on what is old', () => {
  it.each(['get', 'has', 'put'] as const)('keeps a path info, and all it refers to, by %s', async (call) => {
    await using place = await ObjectStoreFolder.create()
    const old = await place.import('old', { 'a/b': LARGE })
    await collectObjects(place.objects, { all: true, ...SETTLED })
    await using before = await place.open()
    const info = (await before.pathInfos.get(old.storePath.digest))!
    await place.age(3 * DAY)
    await using store = await place.open()
    if (call === 'put') await store.pathInfos.put(info)
    else expect(await store.pathInfos[call](old.storePath.digest)).toBeTruthy()
    expect((await collectObjects(place.objects, { all: true, ...SETTLED })).objects).toBe(0)
    await expectWhole(store, [old.storePath.digest])
  })

  it('keeps a directory that is read and a blob that is asked for', async () => {
    await using place = await ObjectStoreFolder.create()
    const old = await place.import('old', { 'a/b': LARGE, c: 'c' })
    await collectObjects(place.objects, { all: true, ...SETTLED })
    const info = await (await place.open()).pathInfos.get(old.storePath.digest)
    const { node } = info!
    if (node.kind !== 'directory') throw new Error('expected a directory')
    await place.age(3 * DAY)
    await using store = await place.open()
    // As a copy does, that finds the target to have it.
    expect(await store.directories.get(node.digest)).toBeDefined()
    const removed = await collectObjects(place.objects, { all: true, ...SETTLED })
    expect(removed.paths).toHaveLength(1)
    await store.pathInfos.put(info!)
    await expectWhole(store, [old.storePath.digest])
  })

  it('has what a cache remembers looked at again', async () => {
    await using place = await ObjectStoreFolder.create()
    const old = await place.import('old', { 'a/b': LARGE })
    await collectObjects(place.objects, { all: true, grace: 2000, ...SETTLED })
    await using store = await place.open()
    const { node } = (await store.pathInfos.get(old.storePath.digest))!
    if (node.kind !== 'directory') throw new Error('expected a directory')
    const child = (await store.directories.get(node.digest))!.entries[0]!.node
    if (child.kind !== 'directory') throw new Error('expected a directory')
    const file = (await store.directories.get(child.digest))!.entries[0]!.node
    if (file.kind !== 'file') throw new Error('expected a file')
    expect(await store.blobs.has(file.digest)).toBe(true)
    await place.age(3 * DAY)
    await collectObjects(place.objects, { all: true, ...SETTLED })
    // What it held for half of two seconds it may still be told of.
    await expect.poll(() => store.directories.get(node.digest), { timeout: 20_000 }).toBeUndefined()
    expect(await store.directories.get(child.digest)).toBeUndefined()
    await expect.poll(() => store.blobs.has(file.digest), { timeout: 20_000 }).toBe(false)
    expect(await store.pathInfos.get(old.storePath.digest)).toBeUndefined()
  })

  it('keeps what a path info references that is written again before the last look at both', async () => {
    await using place = await ObjectStoreFolder.create()
    const low = await place.import('low', { a: LARGE })
    const high = await place.import('high', { a: 'high' })
    await place.reference(high.storePath, low.storePath)
    await collectObjects(place.objects, { all: true, ...SETTLED })
    await place.age(3 * DAY)
    const { objects } = place
    const hex = Buffer.from(high.storePath.digest).toString('hex')
    const key = `neve/pathinfo/${hex.slice(0, 4)}/${hex}`
    const store: ObjectStore = {
      name: objects.name,
      get: (...args) => objects.get(...args),
      put: (...args) => objects.put(...args),
      putIfAbsent: (...args) => objects.putIfAbsent(...args),
      list: (...args) => objects.list(...args),
      delete: (...args) => objects.delete(...args),
      async head(looked, options) {
        if (looked === key) await objects.put(key, (await objects.get(key))!)
        return objects.head(looked, options)
      },
    }
    expect((await collectObjects(store, { all: true, ...SETTLED })).objects).toBe(0)
    await using after = await place.open()
    await expectWhole(after, [low.storePath.digest])
    expect(await after.pathInfos.has(high.storePath.digest)).toBe(true)
  })

  it('keeps what becomes a root in the moment of a collection', async () => {
    await using place = await ObjectStoreFolder.create()
    const old = await place.import('old', { 'a/b': LARGE })
    await collectObjects(place.objects, { all: true, ...SETTLED })
    await place.age(3 * DAY)
    let outcome: Promise<'root' | 'gone'> | undefined
    const setRoot = async (): Promise<'root' | 'gone'> => {
      try {
        await setObjectRoot(place.objects, { name: 'late', target: old.storePath })
        return 'root'
      } catch (error) {
        expect(error).toMatchObject({ code: 'not-found' })
        return 'gone'
      }
    }
    const onProgress = (): void => {
      outcome ??= setRoot()
    }
    await using other = await place.open()
    const rooted = await other.pathInfos.get((await place.import('young', { a: 'young' })).storePath.digest)
    expect(rooted).toBeDefined()
    const collecting = collectObjects(place.objects, { all: true, ...SETTLED, onProgress })
    await collecting
    await using store = await place.open()
    if ((await outcome) === 'root') await expectWhole(store, [old.storePath.digest])
    else expect(await store.pathInfos.get(old.storePath.digest)).toBeUndefined()
  })
})

describe('roots of an object store', () => {
  it('are set, replaced, listed and removed', async () => {
    await using place = await ObjectStoreFolder.create()
    const one = await place.import('one', { a: 'one' })
    const two = await place.import('two', { b: 'two' })
    const { objects } = place
    await setObjectRoot(objects, { name: 'z/ü', target: one.storePath })
    await setObjectRoot(objects, { name: 'a', target: one.storePath })
    await setObjectRoot(objects, { name: 'a', target: two.storePath })
    if (two.node.kind === 'directory') await setObjectRoot(objects, { name: 'd', target: two.node.digest })
    const listed = await listObjectRoots(objects)
    expect(listed.map(({ name }) => name)).toEqual(['a', 'd', 'z/ü'])
    expect(listed[0]!.target.toString()).toBe(two.storePath.toString())
    await removeObjectRoot(objects, 'a')
    expect(await listObjectRoots(objects)).toHaveLength(2)
    const missing = { code: 'not-found' }
    await expect(removeObjectRoot(objects, 'a')).rejects.toMatchObject(missing)
    const invalid = { code: 'invalid-name' }
    await expect(setObjectRoot(objects, { name: '', target: one.storePath })).rejects.toMatchObject(invalid)
    for (const key of await place.keys('neve/pathinfo/')) await objects.delete(key)
    await expect(setObjectRoot(objects, { name: 'b', target: one.storePath })).rejects.toMatchObject(missing)
  })
})

describe('two collectors', () => {
  it('exclude each other; one that was killed is waited for, and then no more', async () => {
    await using place = await ObjectStoreFolder.create()
    await place.import('lost', { a: 'lost' })
    await collectObjects(place.objects, { all: true, ...SETTLED })
    const first = await Collection.begin(place.objects, {})
    // It stirs every twenty seconds: only one that does not is dead.
    const second = await Collection.begin(place.objects, {}, 200)
    await expect(async () => {
      for await (const _ of first.sweep(one(), Date.now(), { rescue: async () => {} }, {}));
    }).rejects.toMatchObject({ code: 'unavailable' })
    await second[Symbol.asyncDispose]()
    await expect(collectObjects(place.objects, { grace: 1 })).rejects.toBeInstanceOf(StoreError)
    await collectObjects(place.objects, { all: true, ...SETTLED })
  })
})

async function* one() {
  yield { key: 'chunks/b3/none', size: 0 }
}
