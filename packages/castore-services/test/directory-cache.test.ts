import type { Directory } from '@neve/castore-model'
import { type CastoreError, descend } from '@neve/castore-services'
import { directoryServiceContract } from '@neve/castore-services/contract'
import { DirectoryCache, type DirectoryCacheInit } from '@neve/castore-services/directory/cache'
import { EmbeddedDirectoryService } from '@neve/castore-services/directory/embedded'
import { MemoryDirectoryService } from '@neve/castore-services/directory/memory'
import { EmbeddedStore } from '@neve/embedded-store'
import { describe, expect, it } from 'vitest'
import {
  A,
  B,
  C,
  COMPLICATED,
  closureOf,
  D,
  digestsOf,
  directoryOf,
  randomClosure,
  upload,
  WITH_KEEP,
} from '../src/contract/directory-fixtures.js'
import { deferred, settled } from './deferred.js'
import { DirectoryProbe, RootsOnlyDirectoryService } from './directory-probe.js'
import { temporaryFolder } from './embedded-fixture.js'

directoryServiceContract('cache, written through', {
  create: () => new DirectoryCache({ near: new MemoryDirectoryService(), far: new MemoryDirectoryService() }),
})

directoryServiceContract('cache, written back', {
  create: () =>
    new DirectoryCache({
      near: new MemoryDirectoryService(),
      far: new MemoryDirectoryService(),
      writes: 'back',
    }),
})

directoryServiceContract('cache, far side with roots only', {
  create: () =>
    new DirectoryCache({ near: new MemoryDirectoryService(), far: new RootsOnlyDirectoryService() }),
  capabilities: { putWithChildren: 'refused', ordersEagerly: true },
})

/** Everything is read from the far side first. */
directoryServiceContract('cache, with a near side that was lost', {
  create: () => {
    const far = new MemoryDirectoryService()
    const cache = new DirectoryCache({ near: new MemoryDirectoryService(), far })
    cache.put = (directory, options) => far.put(directory, options)
    cache.putMultipleStart = (options) => far.putMultipleStart(options)
    return cache
  },
})

const engines = new WeakMap<DirectoryCache, EmbeddedStore>()
directoryServiceContract('cache, embedded near', {
  create: async () => {
    const engine = await EmbeddedStore.open(temporaryFolder())
    const near = new EmbeddedDirectoryService(engine)
    const cache = new DirectoryCache({ near, far: new MemoryDirectoryService() })
    engines.set(cache, engine)
    return cache
  },
  dispose: async (cache) => {
    await cache.close()
    await engines.get(cache)!.close()
  },
})

function fixture(init: Partial<DirectoryCacheInit> & { rootsOnly?: boolean } = {}) {
  const { rootsOnly = false, ...options } = init
  const nearStore = new MemoryDirectoryService()
  const farStore = rootsOnly ? new RootsOnlyDirectoryService() : new MemoryDirectoryService()
  const [near, far] = [new DirectoryProbe(nearStore), new DirectoryProbe(farStore)]
  const trouble: string[] = []
  const cache = new DirectoryCache({
    near,
    far,
    onTrouble: ({ store, error }) => trouble.push(`${store} ${(error as CastoreError).code}`),
    ...options,
  })
  return { cache, near, far, nearStore, farStore, trouble }
}

describe('a cache of directories', () => {
  it('never asks the far side for what is near', async () => {
    const { cache, nearStore, far } = fixture()
    await upload(nearStore, A, B, D)
    expect((await cache.get(D.digest()))?.equals(D)).toBe(true)
    expect((await cache.get(A.digest()))?.equals(A)).toBe(true)
    expect(await closureOf(cache, D.digest())).toHaveLength(3)
    expect(far.total).toBe(0)
  })

  it.each([true, false])(
    'fetches a whole closure once for one directory; roots only: %s',
    async (rootsOnly) => {
      const { cache, nearStore, farStore, far } = fixture({ rootsOnly })
      await upload(farStore, WITH_KEEP, COMPLICATED)
      expect((await cache.get(COMPLICATED.digest()))?.equals(COMPLICATED)).toBe(true)
      await cache.close()
      expect((await nearStore.get(WITH_KEEP.digest()))?.equals(WITH_KEEP)).toBe(true)
      expect((await cache.get(WITH_KEEP.digest()))?.equals(WITH_KEEP)).toBe(true)
      expect(await closureOf(cache, COMPLICATED.digest())).toHaveLength(2)
      expect(far.calls).toEqual({ get: 0, getRecursive: 1, put: 0, putMultipleStart: 0 })
    },
  )

  it.each([true, false])(
    'streams a closure on from the far side, once; roots only: %s',
    async (rootsOnly) => {
      const { cache, nearStore, farStore, far } = fixture({ rootsOnly })
      const closure = randomClosure(100, 5)
      const root = await upload(farStore, ...closure)
      const expected = digestsOf(await closureOf(farStore, root))
      expect(digestsOf(await closureOf(cache, root))).toEqual(expected)
      await cache.close()
      expect(digestsOf(await closureOf(nearStore, root)).sort()).toEqual(expected.sort())
      expect(await closureOf(cache, root)).toHaveLength(100)
      expect(far.calls.getRecursive).toBe(1)
    },
  )

  it('does not turn absent into an error, and leaves the near side alone (03 weakness 2)', async () => {
    const { cache, near, far } = fixture()
    expect(await cache.get(C.digest())).toBeUndefined()
    expect(await closureOf(cache, C.digest())).toEqual([])
    await cache.close()
    expect(near.calls).toMatchObject({ put: 0, putMultipleStart: 0 })
    expect(far.calls.getRecursive).toBe(2)
  })

  it('fetches once for a hundred who ask at once, also for what lies below', async () => {
    const { cache, farStore, far } = fixture()
    const closure = randomClosure(100, 6)
    const root = await upload(farStore, ...closure)
    const opened = deferred<void>()
    far.gate = opened.promise
    const asked = [
      ...Array.from({ length: 30 }, () => cache.get(root)),
      ...Array.from({ length: 30 }, async () => (await closureOf(cache, root)).length),
    ]
    await settled()
    // The root is here; of its children it is known that they come.
    const children = [...closure.at(-1)!.directories()].map(({ node }) => cache.get(node.digest))
    await settled()
    opened.resolve()
    const found = await Promise.all(asked)
    expect(found.slice(30)).toEqual(Array(30).fill(100))
    expect(found.slice(0, 30).every((one) => (one as Directory).digest().equals(root))).toBe(true)
    expect((await Promise.all(children)).every((child) => child !== undefined)).toBe(true)
    await cache.close()
    expect(far.calls).toMatchObject({ getRecursive: 1, get: 0 })
  })

  it('answers as soon as the directory is here, while the closure still comes', async () => {
    const { cache, farStore, far, nearStore } = fixture()
    const root = await upload(farStore, A, B, D)
    const opened = deferred<void>()
    far.gate = opened.promise
    expect((await cache.get(root))?.equals(D)).toBe(true)
    expect(await nearStore.get(root)).toBeUndefined()
    opened.resolve()
    await cache.close()
    expect(await closureOf(nearStore, root)).toHaveLength(3)
  })

  it('walks down a tree with one fetch', async () => {
    const { cache, farStore, far } = fixture({ rootsOnly: true })
    let top = WITH_KEEP
    const closure = [top]
    for (let level = 0; level < 20; level++) {
      top = directoryOf({ down: top.toNode() })
      closure.push(top)
    }
    await upload(farStore, ...closure)
    const path = `${'down/'.repeat(20)}.keep`
    expect(await descend(cache, top.toNode(), path)).toMatchObject({ kind: 'file' })
    await cache.close()
    expect(far.calls).toMatchObject({ getRecursive: 1, get: 0 })
  })

  it('cancels a fetch that nobody wants any more, and begins a new one', async () => {
    const { cache, farStore, far, nearStore } = fixture()
    const root = await upload(farStore, ...randomClosure(50, 7))
    const opened = deferred<void>()
    far.gate = opened.promise
    for await (const _directory of cache.getRecursive(root)) break
    const controller = new AbortController()
    const reason = new Error('not wanted any more')
    const impatient = (async () => {
      for await (const _directory of cache.getRecursive(root, { signal: controller.signal }));
    })()
    await settled()
    controller.abort(reason)
    await expect(impatient).rejects.toBe(reason)
    opened.resolve()
    await cache.close()
    expect(far.openClosures).toBe(0)
    expect(await nearStore.get(root)).toBeUndefined()
    expect(await closureOf(cache, root)).toHaveLength(50)
    await cache.close()
    expect(await nearStore.get(root)).toBeDefined()
  })

  it('takes a closure up to its limit of memory, and leaves the far side at that', async () => {
    const closure = randomClosure(50, 8)
    const weight = closure.reduce((sum, directory) => sum + 3 * directory.encode().length + 512, 0)
    const enough = fixture({ maxClosureMemory: weight })
    const root = await upload(enough.farStore, ...closure)
    expect(await closureOf(enough.cache, root)).toHaveLength(50)
    await enough.cache.close()
    expect(await enough.nearStore.get(root)).toBeDefined()

    const { cache, farStore, far, nearStore } = fixture({ maxClosureMemory: weight - 1 })
    await upload(farStore, ...closure)
    const expected = { name: 'CastoreError', code: 'too-large' }
    await expect(closureOf(cache, root)).rejects.toMatchObject(expected)
    // What came before is good.
    expect((await cache.get(root))?.digest()).toEqual(root)
    await cache.close()
    expect(far.openClosures).toBe(0)
    expect(await nearStore.get(root)).toBeUndefined()
  })

  it('completes a near closure that lacks a directory from the far side, and repairs it', async () => {
    const { cache, nearStore, farStore, far, trouble } = fixture()
    await upload(farStore, A, B, D)
    await nearStore.put(D)
    await nearStore.put(A)
    const found = digestsOf(await closureOf(cache, D.digest()))
    expect(found).toHaveLength(3)
    expect(new Set(found)).toEqual(new Set(digestsOf([A, B, D])))
    expect(found[0]).toBe(digestsOf([D])[0])
    await cache.close()
    expect(trouble).toEqual(['near data-loss'])
    expect(far.calls.getRecursive).toBe(1)
    expect(await closureOf(nearStore, D.digest())).toHaveLength(3)
    expect(await closureOf(cache, D.digest())).toHaveLength(3)
    expect(far.calls.getRecursive).toBe(1)
  })

  it('finds a missing child at the far side', async () => {
    const { cache, nearStore, farStore } = fixture()
    await upload(farStore, WITH_KEEP, COMPLICATED)
    await nearStore.put(COMPLICATED)
    expect(await descend(cache, COMPLICATED.toNode(), 'keep/.keep')).toMatchObject({ kind: 'file' })
    await cache.close()
    expect(await nearStore.get(WITH_KEEP.digest())).toBeDefined()
  })

  it('reports what is missing on both sides', async () => {
    const { cache, nearStore } = fixture()
    await nearStore.put(B)
    await expect(closureOf(cache, B.digest())).rejects.toMatchObject({ code: 'data-loss' })
  })

  it.each(['unavailable', 'storage', 'data-loss'] as const)(
    'reads at the far side when the near one fails for every call: %s',
    async (code) => {
      const { cache, near, farStore, trouble } = fixture()
      await upload(farStore, A, B, D)
      near.fail(code)
      expect((await cache.get(D.digest()))?.equals(D)).toBe(true)
      expect(await closureOf(cache, D.digest())).toHaveLength(3)
      await cache.close()
      expect(new Set(trouble)).toEqual(new Set([`near ${code}`]))
    },
  )

  it('passes on trouble of the far side, with what came before it', async () => {
    const { cache, far, farStore, nearStore } = fixture()
    await upload(farStore, A, B, D)
    far.fail('unavailable')
    await expect(cache.get(D.digest())).rejects.toMatchObject({ code: 'unavailable' })
    await expect(closureOf(cache, D.digest())).rejects.toMatchObject({ code: 'unavailable' })
    let count = 0
    far.failure = (call) => (call === 'next' && ++count > 2 ? new Error('the line is cut') : undefined)
    const found: Directory[] = []
    const collect = async () => {
      for await (const directory of cache.getRecursive(D.digest())) found.push(directory)
    }
    await expect(collect()).rejects.toThrow('the line is cut')
    expect(digestsOf(found)).toEqual(digestsOf([D]))
    far.heal()
    expect(await nearStore.get(D.digest())).toBeUndefined()
    expect(await closureOf(cache, D.digest())).toHaveLength(3)
  })

  it.each([
    ['another directory first', D, [A]],
    ['one that nobody references', D, [D, C]],
    ['a part is missing', D, [D, A]],
    [
      'a wrong size',
      directoryOf({ foo: { ...A.toNode(), size: 42n } }),
      [directoryOf({ foo: { ...A.toNode(), size: 42n } }), A],
    ],
  ])('stores nothing of a far closure that is wrong: %s', async (_name, root, given) => {
    const { cache, farStore, nearStore } = fixture({ rootsOnly: true })
    const closures = (farStore as RootsOnlyDirectoryService).closures
    closures.set(root.digest().key, given)
    await expect(closureOf(cache, root.digest())).rejects.toMatchObject({ code: 'data-loss' })
    await cache.close()
    for (const directory of given) expect(await nearStore.get(directory.digest())).toBeUndefined()
  })
})

describe('writing directories through a cache', () => {
  it('stores on both sides, the far one first', async () => {
    const { cache, nearStore, farStore } = fixture()
    await upload(cache, A, B, D)
    await cache.put(WITH_KEEP)
    for (const store of [nearStore, farStore]) {
      expect(await closureOf(store, D.digest())).toHaveLength(3)
      expect(await store.get(WITH_KEEP.digest())).toBeDefined()
    }
  })

  it('stores nothing near that the far side did not take', async () => {
    const { cache, far, nearStore, near } = fixture()
    far.fail('unavailable')
    await expect(upload(cache, A, B, D)).rejects.toMatchObject({ code: 'unavailable' })
    await expect(cache.put(A)).rejects.toMatchObject({ code: 'unavailable' })
    expect(await nearStore.get(A.digest())).toBeUndefined()
    expect(near.calls).toMatchObject({ put: 0, putMultipleStart: 0 })
  })

  it('does not fail when only the near side fails', async () => {
    const { cache, near, farStore, trouble } = fixture()
    near.fail('storage')
    await upload(cache, A, B, D)
    await cache.put(WITH_KEEP)
    expect(await closureOf(farStore, D.digest())).toHaveLength(3)
    expect(trouble).toEqual(['near storage', 'near storage'])
  })

  it('writes back behind, and tries again what failed', async () => {
    const { cache, far, farStore, nearStore, trouble } = fixture({ writes: 'back' })
    far.fail('unavailable')
    await upload(cache, A, B, D)
    await cache.put(WITH_KEEP)
    await cache.put(COMPLICATED)
    expect(await closureOf(nearStore, D.digest())).toHaveLength(3)
    await expect(cache.flush()).rejects.toMatchObject({ code: 'unavailable' })
    await expect(cache.close()).rejects.toMatchObject({ code: 'unavailable' })
    expect(await farStore.get(D.digest())).toBeUndefined()
    expect(new Set(trouble)).toEqual(new Set(['far unavailable']))
    far.heal()
    await cache.flush()
    expect(await closureOf(farStore, D.digest())).toHaveLength(3)
    expect(await closureOf(farStore, COMPLICATED.digest())).toHaveLength(2)
    far.reset()
    await cache.close()
    expect(far.total).toBe(0)
  })

  it('fails to write back when the near side does not take it', async () => {
    const { cache, near, far } = fixture({ writes: 'back' })
    near.fail('storage')
    await expect(cache.put(A)).rejects.toMatchObject({ code: 'storage' })
    await expect(upload(cache, A, C)).rejects.toMatchObject({ code: 'storage' })
    await cache.close()
    expect(far.total).toBe(0)
  })
})
