import { join } from 'node:path'
import { EmbeddedStore } from '@neve/embedded-store'
import { ContentAddress, SecretKey, Signature, StorePath } from '@neve/nix-compat'
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
import { BASE, build, ca, deriver, signature, WITHOUT_NARINFO } from './path-info-messages.js'
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

  it('records of earlier versions are read, with all that they say, and kept as they are', async () => {
    // Written by hand, as the first version of this package did.
    const storePath = StorePath.parse('00000000000000000000000000000000-dummy')
    const old = build({ signatures: [signature(64)], deriver: deriver('a.drv', 20), ca: ca(7n, 32) })
    await using engine = await openEngine()
    const session = engine.write()
    session.put('pathInfos', storePath.digest, old)
    session.put('pathInfos', new Uint8Array(20).fill(1), hex(WITHOUT_NARINFO))
    await session.commit()
    const service = new EmbeddedPathInfoService(engine)
    const info = await service.get(storePath.digest)
    expect(info).toEqual({
      ...BASE,
      signatures: [new Signature('key', new Uint8Array(64))],
      deriver: StorePath.parse('00000000000000000000000000000000-a.drv'),
      ca: ContentAddress.parse(`fixed:sha256:${'0'.repeat(52)}`),
    })
    await service.put(info!)
    expect(Buffer.compare(engine.get('pathInfos', storePath.digest)!, old)).toBe(0)
    // Without a narinfo there was never a valid one: damage, told as such.
    await expect(service.get(new Uint8Array(20).fill(1))).rejects.toMatchObject({ code: 'data-loss' })
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
