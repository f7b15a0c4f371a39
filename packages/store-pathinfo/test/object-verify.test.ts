import { randomBytes } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { allPathDigests, type PathInfo, reachablePaths, Store, verifyPaths } from '@neve/store-pathinfo'
import { collectObjects } from '@neve/store-pathinfo/object-gc'
import { describe, expect, it } from 'vitest'
import { DAY, ObjectStoreFolder } from './object-gc-fixture.js'

const SETTLED = { settled: 0 }

/** A store of which two store paths, the second with a reference to the first, are old enough to go. */
async function oldPlace(): Promise<{
  readonly place: ObjectStoreFolder
  readonly low: PathInfo
  readonly high: PathInfo
}> {
  const place = await ObjectStoreFolder.create()
  const low = await place.import('low', { 'a/b': randomBytes(3_000_000), c: 'small' })
  const high = await place.import('high', { a: 'high' })
  await using store = await place.open()
  const [lowInfo, highInfo] = [low, high].map(({ storePath }) => store.pathInfos.get(storePath.digest))
  const changed = { ...(await highInfo)!, references: [low.storePath] }
  await store.pathInfos.put(changed, { overwrite: true })
  await collectObjects(place.objects, { all: true, ...SETTLED })
  await place.age(3 * DAY)
  return { place, low: (await lowInfo)!, high: changed }
}

async function timesOf(place: ObjectStoreFolder): Promise<Record<string, number>> {
  const times: Record<string, number> = {}
  for (const key of await place.keys()) {
    const folder = join(place.folder, 'store')
    times[key] = (await stat(join(folder, key))).mtimeMs
  }
  return times
}

const LOOKS: Readonly<Record<string, (store: Store, high: PathInfo) => Parameters<typeof verifyPaths>[1]>> = {
  'all of it': (store) => allPathDigests(store),
  'what a store path references': (store, high) => reachablePaths(store.pathInfos, [high.storePath]),
}

describe('an object store that is verified', () => {
  it.each(Object.entries(LOOKS))('has nothing of it used: %s', async (_, targets) => {
    const { place, high } = await oldPlace()
    await using _place = place
    const before = await timesOf(place)
    await using store = await place.open()
    const options = { nar: true, references: true, loose: true }
    let paths = 0
    for await (const { damages, storePath } of verifyPaths(store, targets(store, high), options)) {
      // The NAR of one whose references were changed is the same.
      expect(damages).toEqual([])
      if (storePath !== undefined) paths++
    }
    expect(paths).toBe(2)
    expect(await timesOf(place)).toEqual(before)
    const { paths: gone } = await collectObjects(place.objects, { all: true, ...SETTLED })
    expect(gone).toHaveLength(2)
    expect(await place.keys('chunks/')).toEqual([])
  })

  it('may lose garbage meanwhile, which is no damage', async () => {
    const { place } = await oldPlace()
    await using _place = place
    await using store = await place.open()
    const digests: Uint8Array[] = []
    for await (const digest of allPathDigests(store)) digests.push(digest)
    async function* during() {
      yield digests[0]!
      await collectObjects(place.objects, { all: true, ...SETTLED })
      yield digests[1]!
    }
    const found = []
    for await (const { damages } of verifyPaths(store, during())) found.push(...damages)
    expect(found).toEqual([])
    // What is listed and cannot be had is damage; so is what is asked for by its name.
    const low = await place.import('other', { a: 'other' })
    const { blobs, directories, pathInfos } = store
    const list = pathInfos.list.bind(pathInfos)
    const lying = new Store({
      ...{ blobs, directories },
      pathInfos: { get: async () => undefined, has: async () => false, put: async (info) => info, list },
    })
    for await (const { damages } of verifyPaths(lying, allPathDigests(lying))) {
      expect(damages).toMatchObject([{ kind: 'path-info-missing' }])
    }
    const hex = Buffer.from(low.storePath.digest).toString('hex')
    await place.objects.delete(`neve/pathinfo/${hex.slice(0, 4)}/${hex}`)
    for await (const { damages } of verifyPaths(store, [low.storePath])) {
      expect(damages).toMatchObject([{ kind: 'path-info-missing' }])
    }
  })

  it('tells what is damaged, and what was mended, as before', async () => {
    const { place, low } = await oldPlace()
    await using _place = place
    await using copy = await ObjectStoreFolder.create()
    for (const key of await place.keys()) await copy.objects.put(key, (await place.objects.get(key))!)
    const lists = []
    for await (const meta of place.objects.list('blobs/')) if (meta.size > 0) lists.push(meta.key)
    const [chunk] = await place.keys('chunks/')
    await place.objects.put(chunk!, Buffer.from('damaged'))
    // Another blob's list, which can be read, and lies.
    const list = (await place.objects.get(lists[0]!))!
    await place.objects.put(lists[0]!, Buffer.concat([list, list]))
    await using store = await place.open()
    await using source = await copy.open()
    const told = []
    for await (const { damages } of verifyPaths(store, [low.storePath])) told.push(...damages)
    expect(told.length).toBeGreaterThan(0)
    expect(told.every(({ repaired }) => !repaired)).toBe(true)
    const mended = []
    for await (const { damages } of verifyPaths(store, allPathDigests(store), { repairFrom: [source] }))
      mended.push(...damages)
    expect(mended.length).toBeGreaterThan(0)
    expect(mended.every(({ repaired }) => repaired)).toBe(true)
    await using again = await place.open()
    for await (const { damages } of verifyPaths(again, allPathDigests(again), { nar: true }))
      expect(damages).toEqual([])
  })
})
