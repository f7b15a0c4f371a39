import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type BlobService, CastoreError, type DirectoryService } from '@neve/castore-services'
import { EmbeddedBlobService } from '@neve/castore-services/blob/embedded'
import { MemoryBlobService } from '@neve/castore-services/blob/memory'
import { EmbeddedDirectoryService } from '@neve/castore-services/directory/embedded'
import { MemoryDirectoryService } from '@neve/castore-services/directory/memory'
import { EmbeddedStore } from '@neve/embedded-store'
import { dumpPath } from '@neve/nar/node'
import { Signature } from '@neve/nix-compat'
import { MemoryPathInfoService, openCastore, openStore, Store, type StoreSources } from '@neve/store-pathinfo'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { makeComplicated, makeRandomTree } from './host-trees.js'
import { collect, expectStoreError, failureOf, memoryServices, temporaryFolder } from './support.js'

/** What `$NEVE_STORE` names while a test runs. */
let home: string
let before: string | undefined
beforeEach(() => {
  home = join(temporaryFolder(), 'home')
  before = process.env['NEVE_STORE']
  process.env['NEVE_STORE'] = home
})
afterEach(() => {
  if (before === undefined) delete process.env['NEVE_STORE']
  else process.env['NEVE_STORE'] = before
})

/** A blob service that tells whether it was closed, and how often each method was called. */
function watched<T extends object>(service: T): T & { readonly calls: Map<string, number> } {
  const calls = new Map<string, number>()
  const close = async (): Promise<void> => {}
  return new Proxy(service, {
    get(target, name) {
      if (name === 'calls') return calls
      const value: unknown = name === 'close' ? close : Reflect.get(target, name, target)
      if (typeof value !== 'function') return value
      return (...args: unknown[]) => {
        calls.set(String(name), (calls.get(String(name)) ?? 0) + 1)
        return value.apply(target, args)
      }
    },
  }) as T & { readonly calls: Map<string, number> }
}

const SOURCES: readonly (readonly [string, () => StoreSources])[] = [
  ['memory', () => ({ blobs: 'memory:', directories: 'memory://', pathInfos: 'memory:' })],
  ['services', () => ({ ...memoryServices(), pathInfos: new MemoryPathInfoService() })],
  ['blobs elsewhere', () => ({ blobs: 'memory:' })],
  ['directories elsewhere', () => ({ directories: 'memory:' })],
  ['path infos elsewhere', () => ({ pathInfos: 'memory:' })],
  [
    'three embedded stores',
    () => {
      const folder = temporaryFolder()
      return {
        blobs: `embedded:${join(folder, 'a')}`,
        directories: `embedded:${join(folder, 'b')}`,
        pathInfos: `embedded:${join(folder, 'c')}`,
      }
    },
  ],
  [
    'one embedded store',
    () => {
      const folder = join(temporaryFolder(), 'a')
      return { blobs: `embedded:${folder}`, directories: folder }
    },
  ],
]

describe.each(SOURCES)('a store over %s', (_name, sources) => {
  it('imports, resolves and renders as any other', async () => {
    await using store = await openStore(sources())
    const path = makeRandomTree(51, 120)
    const imported = await store.importPath(path)
    const nar = await collect(dumpPath(path))
    expect(imported.narSize).toBe(BigInt(nar.length))
    expect((await collect(store.nar(imported.storePath))).equals(nar)).toBe(true)
    expect(await store.measureNar(imported.node)).toEqual({
      narSize: imported.narSize,
      narSha256: imported.narSha256,
    })
    expect((await store.resolve(imported.storePath.toAbsolute())).node).toEqual(imported.node)
    const again = await store.importPath(path)
    expect(again.storePath.equals(imported.storePath)).toBe(true)
    expect(await store.pathInfos.get(imported.storePath.digest)).toEqual(imported.pathInfo)
  })
})

describe('what a store is made of', () => {
  it('one folder for both kinds is one engine, which has the path infos too', async () => {
    const folder = join(temporaryFolder(), 'store')
    await using store = await openStore({ blobs: folder, directories: `embedded:${folder}/../store/` })
    expect(store.engine?.path).toBe(folder)
    expect(existsSync(home)).toBe(false)
    const engine = await EmbeddedStore.open(join(temporaryFolder(), 'own'))
    const blobs = new EmbeddedBlobService(engine)
    const directories = new EmbeddedDirectoryService(engine)
    const own = await openStore({ blobs, directories })
    expect(own.engine).toBe(engine)
    await own.importPath(makeRandomTree(52, 10))
    await own.close()
    // Not ours to close.
    expect(engine.count('pathInfos')).toBe(1)
    await engine.close()
  })

  it('what is left out lies in the default store; path infos are opened when they are needed', async () => {
    const services = memoryServices()
    const tree = join(temporaryFolder(), 'c')
    makeComplicated(tree)
    {
      await using store = await openStore(services)
      const hello = await store.blobs.put(Buffer.from('hello'))
      expect((await store.resolve(hello.toHex())).node).toMatchObject({ kind: 'file', size: 5n })
      expect(existsSync(home)).toBe(false)
      await store.importPath(tree)
    }
    await using local = await openStore(home, { readOnly: true })
    expect(local.engine?.count('pathInfos')).toBe(1)
    expect(local.engine?.count('directories')).toBe(0)
  })

  it('path infos that cannot be opened stop an import before anything is stored', async () => {
    const services = memoryServices()
    const blobs = watched<BlobService>(services.blobs)
    mkdirSync(join(home, 'precious'), { recursive: true })
    await using store = await openStore({ ...services, blobs })
    expect(await failureOf(() => store.importPath(makeRandomTree(53, 10)))).toMatchObject({
      code: 'not-a-store',
    })
    expect(blobs.calls.get('put') ?? 0).toBe(0)
  })

  it('services that were given stay open, what was opened is closed', async () => {
    const blobs = watched<BlobService>(new MemoryBlobService())
    const directories = watched<DirectoryService>(new MemoryDirectoryService())
    const store = await openStore({ blobs, directories })
    await store.importPath(makeRandomTree(54, 10))
    await store.close()
    await store.close()
    expect([blobs.calls.get('close'), directories.calls.get('close')]).toEqual([undefined, undefined])
    // The folder is free again.
    await (await openStore(home)).close()
  })

  it('its parts are closed once, after what ran for it', async () => {
    let closed = 0
    const close = async (): Promise<void> => {
      closed++
    }
    const parts = { ...memoryServices(), pathInfos: new MemoryPathInfoService(), close }
    const store = new Store(parts)
    await store.importPath(makeRandomTree(55, 10))
    await Promise.all([store.close(), store.close()])
    expect(closed).toBe(1)
  })

  it('into services, a tree is read once, and nothing is read back', async () => {
    const blobs = watched<BlobService>(new MemoryBlobService())
    const directories = watched<DirectoryService>(new MemoryDirectoryService())
    await using store = await openStore({ blobs, directories, pathInfos: 'memory:' })
    await store.importPath(makeRandomTree(56, 60))
    expect(blobs.calls.get('put')).toBeGreaterThan(5)
    expect([blobs.calls.get('open'), blobs.calls.get('get'), directories.calls.get('get')]).toEqual([
      undefined,
      undefined,
      undefined,
    ])
  })

  it('a service that fails ends the import with its error, and there is no path info', async () => {
    const error = new CastoreError('unavailable', 'gone')
    const services = memoryServices()
    const pathInfos = new MemoryPathInfoService()
    const path = makeRandomTree(57, 60)
    const failing = Object.assign(Object.create(services.blobs), {
      put: () => Promise.reject(error),
    }) as BlobService
    {
      await using store = await openStore({ ...services, blobs: failing, pathInfos })
      expect(await failureOf(() => store.importPath(path))).toBe(error)
    }
    const noDirectories = Object.assign(Object.create(services.directories), {
      putMultipleStart: () => ({
        put: async () => {},
        close: () => Promise.reject(error),
        abort: async () => {},
      }),
    }) as DirectoryService
    await using store = await openStore({ ...services, directories: noDirectories, pathInfos })
    expect(await failureOf(() => store.importPath(path))).toBe(error)
    expect(await collectAll(pathInfos.list())).toEqual([])
  })
})

async function collectAll<T>(source: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const one of source) all.push(one)
  return all
}

describe('addresses that are refused', () => {
  it.each([
    [{ blobs: 'redb:///x' }, 'write embedded:/path/to/folder'],
    [{ directories: 'sled://' }, 'write embedded:/path/to/folder'],
    [{ blobs: '' }, 'expected embedded:'],
    [{ config: 'stores.toml', blobs: 'memory:' }, 'config and blobs cannot be given together'],
    [{ config: 'stores.toml', directories: 'memory:' }, 'config and directories cannot be given together'],
  ] as const)('%j', async (sources, message) => {
    const error = await expectStoreError(() => openStore(sources), 'invalid-address')
    expect(error.message).toContain(message)
  })

  it('what was opened before is closed', async () => {
    const folder = join(temporaryFolder(), 'store')
    await failureOf(() => openStore({ blobs: folder, directories: 'redb://' }))
    await using store = await openStore(folder)
    expect(store.engine?.path).toBe(folder)
  })
})

describe('composition files', () => {
  const memory = (table: string) => `[${table}.default]\ntype = "memory"\n`
  const written = (text: string): string => {
    const file = join(temporaryFolder(), 'stores.toml')
    writeFileSync(file, text)
    return file
  }

  it('blobs and directories in one folder are one engine, which has the path infos too', async () => {
    const folder = join(temporaryFolder(), 'store')
    const embedded = (table: string) => `[${table}.default]\ntype = "embedded"\npath = "${folder}"\n`
    const config = written(embedded('blobservices') + embedded('directoryservices'))
    const tree = makeRandomTree(59, 30)
    const { storePath } = await (async () => {
      await using store = await openStore({ config })
      expect(store.engine?.path).toBe(folder)
      return await store.importPath(tree)
    })()
    await using local = await openStore(folder, { readOnly: true })
    expect((await collect(local.nar(storePath))).equals(await collect(dumpPath(tree)))).toBe(true)
    await using castore = await openCastore(config)
    expect(castore.blobs).toBeInstanceOf(EmbeddedBlobService)
    expect(existsSync(home)).toBe(false)
  })

  it('path infos of what is elsewhere lie in the default store, or where they are wanted', async () => {
    const config = written(memory('blobservices') + memory('directoryservices'))
    const infos = join(temporaryFolder(), 'infos')
    await (await openStore({ config })).close()
    expect(existsSync(home)).toBe(false)
    for (const [pathInfos, folder] of [
      [undefined, home],
      [infos, infos],
    ]) {
      await using store = await openStore({ config, pathInfos })
      await store.importPath(makeRandomTree(60, 3))
      await using local = await openStore(folder, { readOnly: true })
      expect(local.engine?.count('pathInfos')).toBe(1)
    }
  })

  it('without an entry point of one kind, that is said', async () => {
    const noBlobs = written(memory('directoryservices'))
    const error = await expectStoreError(() => openStore({ config: noBlobs }), 'invalid-address')
    expect(error.message).toContain(`${noBlobs}: expected a table [blobservices.default]`)
    const noDirectories = written(memory('blobservices'))
    expect((await expectStoreError(() => openCastore(noDirectories), 'invalid-address')).message).toContain(
      '[directoryservices.default]',
    )
    const dangling = written(`${memory('directoryservices')}[blobservices.default]\ntype = "embedded"\n`)
    expect(await failureOf(() => openStore({ config: dangling }))).toMatchObject({ code: 'invalid-config' })
  })
})

describe('path infos in memory', () => {
  it('are those that embedded ones would be', async () => {
    const tree = makeRandomTree(58, 5)
    await using store = await openStore({ pathInfos: 'memory:' })
    const { pathInfo } = await store.importPath(tree)
    const { pathInfos } = store
    expect(await pathInfos.has(pathInfo.storePath.digest)).toBe(true)
    expect(await pathInfos.get(new Uint8Array(20))).toBeUndefined()
    const signed = { ...pathInfo, signatures: [new Signature('a', new Uint8Array(64))] }
    expect(await pathInfos.put(signed)).toEqual(signed)
    expect(await pathInfos.put(pathInfo)).toEqual(signed)
    const other = { ...pathInfo, narSha256: new Uint8Array(32) }
    await expectStoreError(() => pathInfos.put(other), 'already-exists')
    expect(await collectAll(pathInfos.list())).toEqual([signed])
  })
})

describe('blobs and directories by one address', () => {
  it('a folder, an embedded store, memory', async () => {
    const folder = join(temporaryFolder(), 'store')
    {
      await using castore = await openCastore(folder)
      await castore.blobs.put(Buffer.from('hello'))
    }
    await using castore = await openCastore(`embedded:${folder}`, { readOnly: true })
    expect(await castore.blobs.has((await openHello()).digest)).toBe(true)
    await expectStoreError(() => openCastore('redb:///x'), 'invalid-address')
    expect(await failureOf(() => openCastore(join(folder, 'none'), { create: false }))).toMatchObject({
      code: 'not-a-store',
    })
  })
})

async function openHello() {
  await using castore = await openCastore('memory:')
  return { digest: await castore.blobs.put(Buffer.from('hello')) }
}
