import { join } from 'node:path'
import { FileObjectStore, MemoryObjectStore, type ObjectStore } from '@neve/castore-services/object-store'
import { Signature } from '@neve/nix-compat'
import { encodePathInfo, type PathInfo } from '@neve/store-pathinfo'
import { pathInfoOf, pathInfoServiceContract, randomPathInfo } from '@neve/store-pathinfo/contract'
import { ObjectStorePathInfoService } from '@neve/store-pathinfo/object-store'
import { describe, expect, it } from 'vitest'
import { expectAllSignaturesKept } from './concurrent-signatures.js'
import { temporaryFolder } from './support.js'

const stores = new WeakMap<ObjectStorePathInfoService, ObjectStore>()
const over = (store: ObjectStore) => {
  const service = new ObjectStorePathInfoService(store)
  stores.set(service, store)
  return service
}
const keyOf = (digest: Uint8Array) => {
  const hex = Buffer.from(digest).toString('hex')
  return `neve/pathinfo/${hex.slice(0, 4)}/${hex}`
}
const damage = (service: ObjectStorePathInfoService, digest: Uint8Array) =>
  stores.get(service)!.put(keyOf(digest), new Uint8Array([0x0a, 0xff]))

pathInfoServiceContract('object store in memory', { create: () => over(new MemoryObjectStore()), damage })

pathInfoServiceContract('object store of local files', {
  create: () => over(new FileObjectStore({ root: join(temporaryFolder(), 'objects') })),
  dispose: (service) => stores.get(service)!.close?.(),
  damage,
})

describe('path infos in an object store', () => {
  const info = randomPathInfo(4)

  it('are objects under their digest, in the form of the wire', async () => {
    const store = new MemoryObjectStore()
    await new ObjectStorePathInfoService(store).put(info)
    const keys: string[] = []
    for await (const { key } of store.list('')) keys.push(key)
    expect(keys).toEqual([keyOf(info.storePath.digest)])
    expect(await store.get(keys[0]!)).toEqual(encodePathInfo(info))
  })

  it('what else is in the folder is not listed', async () => {
    const store = new MemoryObjectStore()
    const service = new ObjectStorePathInfoService(store)
    await service.put(info)
    const hex = Buffer.from(info.storePath.digest).toString('hex')
    for (const key of [
      'neve/pathinfo/README',
      `neve/pathinfo/ffff/${hex}`,
      `neve/pathinfo/${hex}`,
      'blobs/x',
    ]) {
      await store.put(key, new Uint8Array(3))
    }
    const listed: PathInfo[] = []
    for await (const each of service.list()) listed.push(each)
    expect(listed).toEqual([info])
  })

  it('an object under another digest is damage', async () => {
    const store = new MemoryObjectStore()
    const service = new ObjectStorePathInfoService(store)
    const other = randomPathInfo(5).storePath.digest
    await store.put(keyOf(other), encodePathInfo(info))
    await expect(service.get(other)).rejects.toMatchObject({ code: 'data-loss' })
  })

  it('an object too large is not read', async () => {
    const store = new MemoryObjectStore()
    await store.put(keyOf(info.storePath.digest), new Uint8Array(11 * 2 ** 20))
    const service = new ObjectStorePathInfoService(store)
    await expect(service.get(info.storePath.digest)).rejects.toMatchObject({ code: 'too-large' })
  })

  it('of services that add to the same one at once, all signatures are kept', async () => {
    const store = new MemoryObjectStore()
    await expectAllSignaturesKept(Array.from({ length: 8 }, () => new ObjectStorePathInfoService(store)))
  })

  it('of two services that put the same new one at once, both signatures are kept', async () => {
    const store = new MemoryObjectStore()
    const base = pathInfoOf('00000000000000000000000000000000-dummy')
    await Promise.all(
      ['a', 'b'].map((name) =>
        new ObjectStorePathInfoService(store).put({
          ...base,
          signatures: [new Signature(name, new Uint8Array(64))],
        }),
      ),
    )
    const stored = await new ObjectStorePathInfoService(store).get(base.storePath.digest)
    expect(stored?.signatures.map(({ name }) => name).sort()).toEqual(['a', 'b'])
  })
})
