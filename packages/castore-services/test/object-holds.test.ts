import { B3Digest } from '@neve/castore-model'
import { ObjectStoreBlobService } from '@neve/castore-services/blob/object-store'
import { Collection, writeGrace } from '@neve/castore-services/object-gc'
import { MemoryObjectStore, ObjectHolds, type ObjectMeta } from '@neve/castore-services/object-store'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { objectKey } from '../src/blob/object-layout.js'
import { GRACE_KEY } from '../src/object-store/grace.js'
import { NOTICE_KEY } from '../src/object-store/sweep-notice.js'
import { WatchedStore } from './object-store-fixture.js'

const HOUR = 3_600_000
const CONTENT = new TextEncoder().encode('counted on')
const DIGEST = B3Digest.of(CONTENT)
const KEY = objectKey('chunks', DIGEST)

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'] })
})
afterEach(() => {
  vi.useRealTimers()
})

function later(milliseconds: number): void {
  vi.setSystemTime(Date.now() + milliseconds)
}

/** A store with an old blob that nothing refers to. */
async function oldStore(): Promise<MemoryObjectStore> {
  const store = new MemoryObjectStore()
  await writeGrace(store, HOUR, {})
  const blobs = new ObjectStoreBlobService({ store })
  await blobs.put(CONTENT)
  await blobs.close()
  later(2 * HOUR)
  return store
}

async function sweepKey(collection: Collection): Promise<{ removed: number; rescued: number }> {
  async function* objects(): AsyncGenerator<ObjectMeta> {
    yield { key: KEY, size: 1, modified: 0 }
  }
  let removed = 0
  let rescued = 0
  for await (const step of collection.sweep(objects(), Date.now() - HOUR, { rescue: async () => {} }, {})) {
    removed += step.removed.length
    rescued += step.rescued.length
  }
  return { removed, rescued }
}

describe('what is counted on', () => {
  it('costs one request where nobody collects', async () => {
    const store = new WatchedStore(new MemoryObjectStore())
    const holds = new ObjectHolds(store)
    await store.put('a', CONTENT)
    for (let i = 0; i < 100; i++) expect(await holds.hold('a')).toBe(true)
    expect(store.calls.slice(1)).toEqual([{ call: 'get', key: GRACE_KEY }])
  })

  it('is written again when it is older than a quarter of the grace age, once for all who ask', async () => {
    const store = new WatchedStore(await oldStore())
    const blobs = new ObjectStoreBlobService({ store })
    await Promise.all(Array.from({ length: 20 }, () => blobs.has(DIGEST)))
    expect(store.count('put')).toBe(1)
    // The list of a blob keeps its chunks.
    expect(store.count('put', 'blobs/')).toBe(1)
    later(HOUR / 5)
    expect(await blobs.has(DIGEST)).toBe(true)
    expect(store.count('put')).toBe(1)
    later(HOUR / 5)
    expect(await blobs.has(DIGEST)).toBe(true)
    expect(store.count('put')).toBe(2)
    await blobs.put(CONTENT)
    expect(store.count('put', 'chunks/')).toBe(1)
    await blobs.close()
  })

  it('is told as it is where it cannot be written', async () => {
    const store = new WatchedStore(await oldStore())
    store.before = (call) => {
      if (call === 'put') throw Object.assign(new (class extends Error {})('read-only'), { code: 'x' })
    }
    await expect(new ObjectHolds(store).hold(KEY)).rejects.toThrow('read-only')
    const { CastoreError } = await import('@neve/castore-services')
    store.before = (call) => {
      if (call === 'put') throw new CastoreError('storage', 'permission denied')
    }
    expect(await new ObjectHolds(store).hold(KEY)).toBe(true)
    expect(await new ObjectHolds(store).hold('chunks/b3/none')).toBe(false)
  })

  it('refuses a grace age that is none', async () => {
    const store = new MemoryObjectStore()
    for (const text of [
      '',
      '{',
      'null',
      '{"version":2,"grace":5000}',
      '{"version":1,"grace":-1}',
      '{"version":1}',
    ]) {
      await store.put(GRACE_KEY, Buffer.from(text))
      await expect(new ObjectHolds(store).hold(KEY)).rejects.toMatchObject({ code: 'data-loss' })
    }
  })
})

describe('a sweep and a put of the same object', () => {
  it('leave it there when the put comes between the last look and the removal', async () => {
    const inner = await oldStore()
    const [theirs, ours] = [new WatchedStore(inner), new WatchedStore(inner)]
    const blobs = new ObjectStoreBlobService({ store: ours })
    let putting: Promise<unknown> | undefined
    theirs.before = async (call, key) => {
      if (call !== 'delete' || key !== KEY) return
      putting = blobs.put(CONTENT)
      // It sees what is being removed, and waits.
      await expect.poll(() => ours.count('get', NOTICE_KEY), { timeout: 10_000 }).toBeGreaterThan(1)
      expect(ours.count('put', 'chunks/')).toBe(0)
    }
    await using collection = await Collection.begin(theirs, {})
    expect(await sweepKey(collection)).toEqual({ removed: 1, rescued: 0 })
    await putting
    expect(await inner.head(KEY)).toBeDefined()
    await blobs.close()
  })

  it('leave it there when the put has begun before the sweep', async () => {
    const inner = await oldStore()
    const [theirs, ours] = [new WatchedStore(inner), new WatchedStore(inner)]
    const blobs = new ObjectStoreBlobService({ store: ours })
    await using collection = await Collection.begin(theirs, {})
    let swept: { removed: number } | undefined
    ours.before = async (call, key) => {
      // Between having seen no removal of it and writing it, all of the removal.
      if (call === 'put' && key === KEY) swept ??= await sweepKey(collection)
    }
    await blobs.put(CONTENT)
    expect(swept).toEqual({ removed: 1, rescued: 0 })
    expect(await inner.head(KEY)).toBeDefined()
    // And the other way round: written after it was listed, before the last look.
    later(2 * HOUR)
    theirs.before = async (call, key) => {
      if (call === 'head' && key === KEY) await inner.put(KEY, (await inner.get(KEY))!)
    }
    expect(await sweepKey(collection)).toEqual({ removed: 0, rescued: 1 })
    await blobs.close()
  })
})
