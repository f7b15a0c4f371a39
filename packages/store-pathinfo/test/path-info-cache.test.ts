import { type CallOptions, CastoreError } from '@neve/castore-services'
import {
  CachePathInfoService,
  LruPathInfoService,
  MemoryPathInfoService,
  type PathInfo,
  StoreError,
} from '@neve/store-pathinfo'
import { randomPathInfo } from '@neve/store-pathinfo/contract'
import { describe, expect, it } from 'vitest'

/** Counts what it is asked, and fails or waits when told to. */
class Probe extends MemoryPathInfoService {
  gets = 0
  has_ = 0
  failure: Error | undefined
  gate: Promise<void> | undefined
  override async get(digest: Uint8Array, options?: CallOptions): Promise<PathInfo | undefined> {
    this.gets++
    const found = await super.get(digest, options)
    await this.gate
    if (this.failure) throw this.failure
    return found
  }
  override async has(digest: Uint8Array, options?: CallOptions): Promise<boolean> {
    this.has_++
    if (this.failure) throw this.failure
    return super.has(digest, options)
  }
  override async put(info: PathInfo, options?: CallOptions): Promise<PathInfo> {
    if (this.failure) throw this.failure
    return super.put(info, options)
  }
}

const info = randomPathInfo(3)
const { digest } = info.storePath

describe('cache of path infos', () => {
  it('07#44 fills the near side from the far one', async () => {
    const near = new LruPathInfoService({ capacity: 1 })
    const far = new MemoryPathInfoService()
    const cache = new CachePathInfoService({ near, far })
    expect(await cache.get(digest)).toBeUndefined()
    await far.put(info)
    expect(await cache.get(digest)).toEqual(info)
    expect(await near.get(digest)).toEqual(info)
  })

  it('asks the far side once, however many ask, and not at all for what is near', async () => {
    const far = new Probe()
    await far.put(info)
    const cache = new CachePathInfoService({ near: new MemoryPathInfoService(), far })
    const got = await Promise.all(Array.from({ length: 100 }, () => cache.get(digest)))
    expect(got.every((each) => each?.storePath.equals(info.storePath))).toBe(true)
    expect(far.gets).toBe(1)
    await cache.get(digest)
    expect(await cache.has(digest)).toBe(true)
    expect([far.gets, far.has_]).toEqual([1, 0])
  })

  it('one who gives up does not disturb the others', async () => {
    const far = new Probe()
    await far.put(info)
    let open = () => {}
    far.gate = new Promise((resolve) => {
      open = resolve
    })
    const cache = new CachePathInfoService({ near: new MemoryPathInfoService(), far })
    const controller = new AbortController()
    const leaving = cache.get(digest, { signal: controller.signal })
    const staying = cache.get(digest)
    const reason = new Error('not wanted any more')
    controller.abort(reason)
    await expect(leaving).rejects.toBe(reason)
    open()
    expect(await staying).toEqual(info)
    expect(far.gets).toBe(1)
  })

  it('believes a miss for its time, and not after a put', async () => {
    const far = new Probe()
    let now = 0
    const init = { near: new MemoryPathInfoService(), far, negativeTtl: 1000, now: () => now }
    const cache = new CachePathInfoService(init)
    expect(await cache.get(digest)).toBeUndefined()
    await far.put(info)
    now = 999
    expect(await cache.get(digest)).toBeUndefined()
    expect(await cache.has(digest)).toBe(false)
    expect([far.gets, far.has_]).toEqual([1, 0])
    now = 1000
    expect(await cache.get(digest)).toEqual(info)
    const other = randomPathInfo(4)
    expect(await cache.has(other.storePath.digest)).toBe(false)
    await cache.put(other)
    expect(await cache.get(other.storePath.digest)).toEqual(other)
  })

  it('a miss that was found before a put is not believed after it', async () => {
    const far = new Probe()
    let open = () => {}
    far.gate = new Promise((resolve) => {
      open = resolve
    })
    const cache = new CachePathInfoService({ near: new Probe(), far, negativeTtl: 1e9 })
    const missing = cache.get(digest)
    await Promise.resolve()
    await cache.put(info)
    open()
    // Whichever of the two it was, afterwards it is there.
    await missing
    expect(await cache.get(digest)).toEqual(info)
    expect(await cache.has(digest)).toBe(true)
  })

  it('without negativeTtl no miss is remembered', async () => {
    const far = new Probe()
    const cache = new CachePathInfoService({ near: new MemoryPathInfoService(), far })
    await cache.get(digest)
    await cache.get(digest)
    expect(far.gets).toBe(2)
    expect(() => new CachePathInfoService({ near: far, far, negativeTtl: -1 })).toThrow(StoreError)
  })

  it('a near side that fails is reported, and fails nothing', async () => {
    const near = new Probe()
    const far = new MemoryPathInfoService()
    near.failure = new CastoreError('storage', 'broken')
    const troubles: unknown[] = []
    const cache = new CachePathInfoService({ near, far, onTrouble: ({ error }) => troubles.push(error) })
    expect(await cache.put(info)).toEqual(info)
    expect(await cache.get(digest)).toEqual(info)
    expect(await cache.has(digest)).toBe(true)
    expect(troubles.length).toBeGreaterThan(3)
    expect(new Set(troubles)).toEqual(new Set([near.failure]))
  })

  it('a far side that fails is told, and not taken for a miss', async () => {
    const far = new Probe()
    far.failure = new CastoreError('unavailable', 'away')
    const cache = new CachePathInfoService({ near: new MemoryPathInfoService(), far, negativeTtl: 1e9 })
    await expect(cache.get(digest)).rejects.toBe(far.failure)
    await expect(cache.has(digest)).rejects.toBe(far.failure)
    await expect(cache.put(info)).rejects.toBe(far.failure)
    far.failure = undefined
    await far.put(info)
    expect(await cache.get(digest)).toEqual(info)
  })

  it('a far side that refuses a put leaves the near one alone', async () => {
    const near = new MemoryPathInfoService()
    const far = new MemoryPathInfoService()
    await far.put(info)
    const cache = new CachePathInfoService({ near, far })
    const other = { ...info, narSha256: new Uint8Array(32) }
    await expect(cache.put(other)).rejects.toMatchObject({ code: 'already-exists' })
    expect(await near.get(digest)).toBeUndefined()
  })
})
