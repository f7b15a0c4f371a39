import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ConfigError, compositionOf, serviceFromAddress } from '@neve/castore-services/composition'
import { EmbeddedStore } from '@neve/embedded-store'
import { SecretKey } from '@neve/nix-compat'
import { EmbeddedPathInfoService, openStore, StoreError } from '@neve/store-pathinfo'
import { PATH_INFO_SERVICE, storeRegistry } from '@neve/store-pathinfo/composition'
import { NixHttpPathInfoService } from '@neve/store-pathinfo/nix-http'
import { describe, expect, it } from 'vitest'
import { randomPathInfo } from '../src/contract/path-info-fixtures.js'
import { temporaryFolder } from './support.js'

const INFO = randomPathInfo(7)

const compose = (pathinfoservices: object) =>
  compositionOf({ pathinfoservices }, { registry: storeRegistry() })

describe('path infos in a composition', () => {
  it('are kept near when they were read from far', async () => {
    await using composition = compose({
      root: { type: 'cache', near: '&lru', far: '&far', negative_ttl: '10s' },
      lru: { type: 'lru', capacity: 10 },
      far: { type: 'memory' },
    })
    expect(composition.validate()).toEqual([])
    const [root, near, far] = await Promise.all(
      ['root', 'lru', 'far'].map((name) => composition.build(PATH_INFO_SERVICE, name)),
    )
    await far!.put(INFO)
    const { digest } = INFO.storePath
    expect(await near!.has(digest)).toBe(false)
    expect((await root!.get(digest))?.storePath.equals(INFO.storePath)).toBe(true)
    expect(await near!.has(digest)).toBe(true)
  })

  it('are signed with the key of a file', async () => {
    const keyfile = join(temporaryFolder(), 'key')
    const key = SecretKey.generate('test-1')
    writeFileSync(keyfile, `${key.toSecretText()}\n`)
    await using composition = compose({
      root: { type: 'keyfile-signing', inner: 'inner', keyfile },
      inner: { type: 'memory' },
    })
    const root = await composition.build(PATH_INFO_SERVICE, 'root')
    const { signatures } = await root.put(INFO)
    expect(signatures.map(({ name }) => name)).toContain('test-1')
    const broken = compose({ root: { type: 'keyfile-signing', inner: 'memory:', keyfile: '/nowhere' } })
    await expect(broken.build(PATH_INFO_SERVICE, 'root')).rejects.toMatchObject({
      message: expect.stringContaining('cannot use the key file /nowhere'),
    })
  })

  it('share the engine of an embedded store with blobs and directories', async () => {
    const folder = temporaryFolder()
    const config = join(folder, 'stores.toml')
    const store = join(folder, 'store')
    const table = (kind: string): string => `[${kind}.default]\ntype = "embedded"\npath = "${store}"\n`
    writeFileSync(config, ['blobservices', 'directoryservices', 'pathinfoservices'].map(table).join(''))
    {
      await using opened = await openStore({ config })
      expect(opened.engine).toBeDefined()
      await opened.pathInfos.put(INFO)
    }
    await using engine = await EmbeddedStore.open(store)
    expect(await new EmbeddedPathInfoService(engine).has(INFO.storePath.digest)).toBe(true)
  })

  it('are built from addresses', async () => {
    const folder = temporaryFolder()
    const registry = storeRegistry()
    for (const address of [
      'memory:',
      'memory://',
      `embedded:${folder}/store`,
      'grpc+unix:/path/to/somewhere',
      'grpc+http://[::1]:12345',
      'grpc+http://localhost',
      'grpc+https://localhost',
      'lru:?capacity=5',
      'cache:?near=lru%3A%3Fcapacity%3D5&far=memory:&negative_ttl=2',
      'readonly:?store=memory:',
      'objectstore+memory:///',
      `objectstore+file://${folder}/objects`,
    ]) {
      const service = await serviceFromAddress(PATH_INFO_SERVICE, address, { registry })
      await service.close?.()
    }
  })

  it.each([
    ['memory:///', 'path'],
    ['memory://foo', 'host'],
    ['http://foo.example/test', 'Unknown type'],
    ['grpc+unix://host.example/path', 'host'],
    ['grpc+http://localhost/some-path', 'path'],
    ['objectstore+memory:///?avg_chunk_size=4096', 'only blobs are cut'],
    ['bigtable://instance', 'project_id'],
    ['nix+grpc://example.com', "unknown scheme 'nix+grpc:'"],
    ['nix+http:///', 'expected a host'],
    ['nix+https://cache.example.org?trustedpublickeys=x', 'unknown option trustedpublickeys'],
    ['lru:', "'capacity' is missing"],
    ['lru:?capacity=0', 'capacity'],
    ['lru:?capacity=-1', 'capacity'],
    ['cache:?near=memory:', "'far' is missing"],
    ['keyfile-signing:?inner=memory:', "'keyfile' is missing"],
    ['readonly:?store=memory:&x=1', "unknown key 'x'"],
  ])('are refused from %s', async (address, word) => {
    const made = serviceFromAddress(PATH_INFO_SERVICE, address, { registry: storeRegistry() })
    await expect(made).rejects.toBeInstanceOf(ConfigError)
    await expect(made).rejects.toMatchObject({ message: expect.stringContaining(word) })
  })

  it('07#46 of a binary cache store contents in the services named root', async () => {
    await using composition = compositionOf(
      {
        blobservices: { root: { type: 'memory' }, other: { type: 'memory' } },
        directoryservices: { root: { type: 'memory' } },
        pathinfoservices: {
          root: { type: 'nix', base_url: 'http://127.0.0.1:1/', blob_service: '&other' },
          lost: { type: 'nix', base_url: 'http://127.0.0.1:1/', blob_service: '&nowhere' },
        },
      },
      { registry: storeRegistry() },
    )
    expect(composition.validate().map(({ message }) => message)).toEqual([
      'store not found: nowhere (path-info:lost → blob_service → blob:nowhere)',
      'path-info:lost is not used by blob:root, directory:root, path-info:root',
    ])
    const { parts } = composition.plans().find(({ kind, name }) => kind === 'path-info' && name === 'root')!
    expect(parts.map(({ key, name }) => [key, name])).toEqual([
      ['blob_service', 'other'],
      ['directory_service', 'root'],
    ])
    expect(await composition.build(PATH_INFO_SERVICE, 'root')).toBeInstanceOf(NixHttpPathInfoService)
    expect(() => compose({ root: { type: 'nix', base_url: 'ftp://x' } })).toThrow(/base_url: expected http/)
  })

  it('say what to write instead of a database of the reference', async () => {
    const made = serviceFromAddress(PATH_INFO_SERVICE, 'redb:/x', { registry: storeRegistry() })
    await expect(made).rejects.toMatchObject({ message: expect.stringContaining('write embedded:') })
  })

  it('need blobs and directories beside them', async () => {
    const config = join(temporaryFolder(), 'stores.toml')
    writeFileSync(config, '[pathinfoservices.root]\ntype = "memory"\n')
    const opened = openStore({ config })
    await expect(opened).rejects.toBeInstanceOf(StoreError)
    await expect(opened).rejects.toMatchObject({
      message: expect.stringContaining('expected a table [blobservices.default]'),
    })
  })
})
