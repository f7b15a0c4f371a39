import type { Directory } from '@neve/castore-model'
import { type CastoreError, RootToLeaves } from '@neve/castore-services'
import { directoryServiceContract } from '@neve/castore-services/contract'
import { MemoryDirectoryService } from '@neve/castore-services/directory/memory'
import { MirrorDirectoryService } from '@neve/castore-services/directory/mirror'
import { PriorityDirectoryService } from '@neve/castore-services/directory/priority'
import { ReadonlyDirectoryService } from '@neve/castore-services/directory/readonly'
import { VerifyDirectoryService } from '@neve/castore-services/directory/verify'
import { describe, expect, it } from 'vitest'
import {
  A,
  B,
  BROKEN_PARENT,
  C,
  COMPLICATED,
  closureOf,
  D,
  digestsOf,
  randomClosure,
  upload,
  WITH_KEEP,
} from '../src/contract/directory-fixtures.js'
import { DirectoryProbe, RootsOnlyDirectoryService } from './directory-probe.js'

directoryServiceContract('mirror', {
  create: () =>
    new MirrorDirectoryService({ stores: [new MemoryDirectoryService(), new MemoryDirectoryService()] }),
})
directoryServiceContract('mirror, stores with roots only', {
  create: () =>
    new MirrorDirectoryService({
      stores: [new RootsOnlyDirectoryService(), new RootsOnlyDirectoryService()],
    }),
  capabilities: { intermediates: false, putWithChildren: 'refused', ordersEagerly: true },
})
directoryServiceContract('verify', { create: () => new VerifyDirectoryService(new MemoryDirectoryService()) })
directoryServiceContract('readonly, for reading', {
  create: () => {
    const inner = new MemoryDirectoryService()
    const readonly = new ReadonlyDirectoryService(inner)
    readonly.put = (directory, options) => inner.put(directory, options)
    readonly.putMultipleStart = (options) => inner.putMultipleStart(options)
    return readonly
  },
})

function fixture() {
  const stores = [new MemoryDirectoryService(), new MemoryDirectoryService()] as const
  const [first, second] = [new DirectoryProbe(stores[0]), new DirectoryProbe(stores[1])]
  const trouble: string[] = []
  const mirror = new MirrorDirectoryService({
    stores: [first, second],
    names: ['home', 'away'],
    onTrouble: ({ store, error }) => trouble.push(`${store} ${(error as CastoreError).code}`),
  })
  return { stores, first, second, mirror, trouble }
}

describe('a mirror of directories', () => {
  it('writes to every store, and reads from the first', async () => {
    const { stores, second, mirror } = fixture()
    await upload(mirror, A, B, D)
    await mirror.put(WITH_KEEP)
    for (const store of stores) {
      expect(await closureOf(store, D.digest())).toHaveLength(3)
      expect(await store.get(WITH_KEEP.digest())).toBeDefined()
    }
    second.reset()
    expect(await closureOf(mirror, D.digest())).toHaveLength(3)
    expect(await mirror.get(A.digest())).toBeDefined()
    expect(second.total).toBe(0)
  })

  it.each([
    ['put', (mirror: MirrorDirectoryService) => mirror.put(A)],
    ['upload', (mirror: MirrorDirectoryService) => upload(mirror, A, C)],
  ])('fails when one store does not take it, and names it: %s', async (_name, write) => {
    const { second, mirror } = fixture()
    second.fail('unavailable', 'put', 'close')
    await expect(write(mirror)).rejects.toMatchObject({
      name: 'MirrorWriteError',
      code: 'unavailable',
      failures: [{ store: 'away', error: { code: 'unavailable' } }],
    })
    second.heal()
    await write(mirror)
  })

  it('gives no store an upload that is wrong', async () => {
    const { first, second, mirror } = fixture()
    await expect(upload(mirror, A, BROKEN_PARENT)).rejects.toMatchObject({ code: 'size' })
    await expect(upload(mirror, B)).rejects.toMatchObject({ code: 'order' })
    expect([first.total, second.total]).toEqual([0, 0])
  })

  it.each(['unavailable', 'data-loss', 'storage'] as const)(
    'reads on at the next store: %s',
    async (code) => {
      const { first, mirror, trouble } = fixture()
      await upload(mirror, A, B, D)
      first.fail(code)
      expect((await mirror.get(D.digest()))?.equals(D)).toBe(true)
      expect(await closureOf(mirror, D.digest())).toHaveLength(3)
      expect(trouble).toEqual([`home ${code}`, `home ${code}`])
    },
  )

  it('reads on at the next store in the middle of a closure: in order, nothing twice', async () => {
    const { first, mirror } = fixture()
    const closure = randomClosure(100, 8)
    const root = await upload(mirror, ...closure)
    for (let stop = 1; stop < 100; stop += 7) {
      let count = 0
      first.fail('unavailable')
      const fails = first.failure
      first.failure = (call) => (call === 'next' && ++count > stop + 1 ? fails(call) : undefined)
      const order = new RootToLeaves(root)
      const found = await closureOf(mirror, root)
      expect(found.map((directory) => order.add(directory))).not.toContain(false)
      expect(digestsOf(found).sort()).toEqual(digestsOf(closure).sort())
    }
    expect(first.openClosures).toBe(0)
  })

  it('puts a closure together from stores that lack different directories', async () => {
    const { stores, mirror } = fixture()
    for (const directory of [D, A]) await stores[0].put(directory)
    for (const directory of [D, B]) await stores[1].put(directory)
    expect(digestsOf(await closureOf(mirror, D.digest())).sort()).toEqual(digestsOf([A, B, D]).sort())
  })

  it('reports what every store lacks, after what is there', async () => {
    const { stores, mirror } = fixture()
    for (const store of stores) for (const directory of [D, A]) await store.put(directory)
    const found: Directory[] = []
    const collect = async () => {
      for await (const directory of mirror.getRecursive(D.digest())) found.push(directory)
    }
    await expect(collect()).rejects.toMatchObject({ code: 'data-loss' })
    expect(digestsOf(found)).toEqual(digestsOf([D, A]))
  })

  it('does not say that a directory is absent when a store could not be asked', async () => {
    const { first, mirror } = fixture()
    first.fail('unavailable')
    await expect(mirror.get(A.digest())).rejects.toMatchObject({ code: 'unavailable' })
    await expect(closureOf(mirror, A.digest())).rejects.toMatchObject({ code: 'unavailable' })
  })

  it('reads from stores in order of priority without writing to them', async () => {
    const { stores } = fixture()
    await stores[1].put(A)
    const priority = new PriorityDirectoryService({ stores })
    expect(await priority.get(A.digest())).toBeDefined()
    await expect(priority.put(C)).rejects.toMatchObject({ code: 'unsupported' })
    await expect(upload(priority, A, C)).rejects.toMatchObject({ code: 'unsupported' })
    expect(await stores[0].get(C.digest())).toBeUndefined()
  })
})

describe('a directory service that is read-only', () => {
  it('refuses every write, and does not let it through', async () => {
    const probe = new DirectoryProbe(new MemoryDirectoryService())
    const directories = new ReadonlyDirectoryService(probe)
    const unsupported = { name: 'CastoreError', code: 'unsupported' }
    await expect(directories.put(A)).rejects.toMatchObject(unsupported)
    const putter = directories.putMultipleStart()
    await expect(putter.put(A)).rejects.toMatchObject(unsupported)
    await expect(putter.close()).rejects.toMatchObject(unsupported)
    await putter.abort()
    await expect(putter.close()).rejects.toMatchObject({ code: 'aborted' })
    const reason = new Error('not wanted any more')
    const signal = AbortSignal.abort(reason)
    await expect(directories.putMultipleStart({ signal }).put(A)).rejects.toBe(reason)
    await expect(directories.putMultipleStart().close({ signal })).rejects.toBe(reason)
    await expect(directories.put(A, { signal })).rejects.toBe(reason)
    expect(probe.total).toBe(0)
  })
})

describe('a directory service that verifies another', () => {
  it.each([
    ['another directory first', D, [A]],
    ['one that nobody references', D, [D, C]],
    ['a part is missing', D, [D, A]],
    ['a wrong size', BROKEN_PARENT, [BROKEN_PARENT, A]],
  ])('refuses a closure that is wrong: %s', async (_name, root, given) => {
    const inner = new RootsOnlyDirectoryService()
    inner.closures.set(root.digest().key, given)
    const directories = new VerifyDirectoryService(inner)
    await expect(closureOf(directories, root.digest())).rejects.toMatchObject({
      name: 'DataLossError',
      code: 'data-loss',
    })
  })

  it('drops repeats, and refuses another directory than the one asked for', async () => {
    const inner = new RootsOnlyDirectoryService()
    inner.closures.set(C.digest().key, [C, A, C, A])
    const directories = new VerifyDirectoryService(inner)
    expect(digestsOf(await closureOf(directories, C.digest()))).toEqual(digestsOf([C, A]))
    inner.closures.set(COMPLICATED.digest().key, [WITH_KEEP])
    await expect(directories.get(COMPLICATED.digest())).rejects.toMatchObject({ code: 'data-loss' })
  })

  it('does not believe the digest of a write', async () => {
    const inner = new MemoryDirectoryService()
    inner.put = async () => C.digest()
    const directories = new VerifyDirectoryService(inner)
    await expect(directories.put(A)).rejects.toMatchObject({ code: 'storage' })
    await expect(upload(directories, A)).rejects.toMatchObject({ code: 'storage' })
  })
})
