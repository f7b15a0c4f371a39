import { join } from 'node:path'
import { EmbeddedStore } from '@neve/embedded-store'
import { SecretKey } from '@neve/nix-compat'
import {
  CachePathInfoService,
  EmbeddedPathInfoService,
  LruPathInfoService,
  MemoryPathInfoService,
  type PathInfoService,
  ReadonlyPathInfoService,
} from '@neve/store-pathinfo'
import { pathInfoOf, pathInfoServiceContract, randomPathInfo } from '@neve/store-pathinfo/contract'
import { describe, expect, it } from 'vitest'
import { hex, temporaryFolder } from './support.js'

const openEngine = () => EmbeddedStore.open(join(temporaryFolder(), 'store'))
const damage = async ({ engine }: EmbeddedPathInfoService, digest: Uint8Array) => {
  const session = engine.write()
  session.put('pathInfos', digest, hex('0aff'))
  await session.commit()
}

pathInfoServiceContract('memory', { create: () => new MemoryPathInfoService() })

pathInfoServiceContract('lru', { create: () => new LruPathInfoService({ capacity: 1000 }) })

pathInfoServiceContract('embedded', {
  create: async () => new EmbeddedPathInfoService(await openEngine()),
  dispose: ({ engine }) => engine.close(),
  damage,
})

pathInfoServiceContract('cache over memory', {
  create: () =>
    new CachePathInfoService({
      near: new LruPathInfoService({ capacity: 3 }),
      far: new MemoryPathInfoService(),
      negativeTtl: 60_000,
    }),
})

const engines = new WeakMap<PathInfoService, EmbeddedStore>()
pathInfoServiceContract('cache over an embedded store', {
  create: async () => {
    const engine = await openEngine()
    const far = new EmbeddedPathInfoService(engine)
    const service = new CachePathInfoService({ near: new MemoryPathInfoService(), far })
    engines.set(service, engine)
    return service
  },
  dispose: (service) => engines.get(service)!.close(),
})

describe('lru', () => {
  const [a, b] = [randomPathInfo(1), randomPathInfo(2)]

  it('07#43 with a capacity of 1 keeps the last', async () => {
    const lru = new LruPathInfoService({ capacity: 1 })
    expect(await lru.get(a.storePath.digest)).toBeUndefined()
    await lru.put(a)
    expect(await lru.get(a.storePath.digest)).toEqual(a)
    await lru.put(b)
    expect(await lru.get(b.storePath.digest)).toEqual(b)
    expect(await lru.get(a.storePath.digest)).toBeUndefined()
  })

  it('keeps what was got last, not what was asked about', async () => {
    const lru = new LruPathInfoService({ capacity: 2 })
    await lru.put(a)
    await lru.put(b)
    await lru.get(a.storePath.digest)
    await lru.has(b.storePath.digest)
    await lru.put(randomPathInfo(3))
    expect(await lru.has(a.storePath.digest)).toBe(true)
    expect(await lru.has(b.storePath.digest)).toBe(false)
  })

  it.each([0, -1, 1.5, Number.NaN])('a capacity of %d is refused', (capacity) => {
    expect(() => new LruPathInfoService({ capacity })).toThrow(/expected 1 or more/)
  })
})

describe('readonly', () => {
  it('reads, and refuses puts', async () => {
    const inner = new MemoryPathInfoService()
    const info = await inner.put(randomPathInfo(1))
    const service = new ReadonlyPathInfoService(inner)
    expect(await service.get(info.storePath.digest)).toEqual(info)
    expect(await service.has(info.storePath.digest)).toBe(true)
    for await (const listed of service.list()) expect(listed).toEqual(info)
    await expect(service.put(randomPathInfo(2))).rejects.toMatchObject({ code: 'unsupported' })
    expect(await inner.has(randomPathInfo(2).storePath.digest)).toBe(false)
  })
})

describe('embedded', () => {
  it('07#47 written, closed, and read by two at once; a reader refuses puts', async () => {
    const path = join(temporaryFolder(), 'store')
    const info = randomPathInfo(1)
    {
      await using engine = await EmbeddedStore.open(path)
      await new EmbeddedPathInfoService(engine).put(info)
    }
    await using one = await EmbeddedStore.open(path, { readOnly: true })
    await using other = await EmbeddedStore.open(path, { readOnly: true })
    for (const engine of [one, other]) {
      const service = new EmbeddedPathInfoService(engine)
      expect(await service.get(info.storePath.digest)).toEqual(info)
      await expect(service.put(randomPathInfo(2))).rejects.toMatchObject({ name: 'EmbeddedStoreError' })
    }
  })

  it('records of earlier versions are read, with all that they say', async () => {
    // As they were written before signatures and content addresses had types of their own.
    const old = hex(
      '0a450a430a2b3833617131326c6476387771796a6b71366c706e6c6a356b6e7936313631357a2d6f6c642d7265636f72641214' +
        '2f6e69782f73746f72652f656c73657768657265',
    )
    await using engine = await openEngine()
    const service = new EmbeddedPathInfoService(engine)
    const written = pathInfoOf('00000000000000000000000000000000-dummy')
    await service.put(written)
    const bytes = engine.get('pathInfos', written.storePath.digest)!
    const session = engine.write()
    session.put('pathInfos', new Uint8Array(20).fill(1), old)
    await session.commit()
    // The message is complete but for its narinfo: damage, told as such, and not the end of the others.
    await expect(service.get(new Uint8Array(20).fill(1))).rejects.toMatchObject({ code: 'data-loss' })
    expect(await service.get(written.storePath.digest)).toEqual(written)
    expect(engine.get('pathInfos', written.storePath.digest)).toEqual(bytes)
  })

  it('two services over one engine do not lose each other’s signatures', async () => {
    await using engine = await openEngine()
    const services = [new EmbeddedPathInfoService(engine), new EmbeddedPathInfoService(engine)]
    const info = pathInfoOf('00000000000000000000000000000000-dummy')
    const keys = Array.from({ length: 20 }, (_, i) => SecretKey.generate(`key-${i}`))
    await Promise.all(keys.map((key, i) => services[i % 2]!.put({ ...info, signatures: [key.sign('x')] })))
    expect((await services[0]!.get(info.storePath.digest))?.signatures).toHaveLength(20)
  })
})
