import { B3Digest } from '@neve/castore-model'
import { encodeUse } from '@neve/embedded-store'
import {
  allPathDigests,
  type LocalStore,
  openLocalStore,
  openStore,
  type VerifiedPath,
  verifyPaths,
} from '@neve/store-pathinfo'
import { describe, expect, it } from 'vitest'
import { damage } from './damage.js'
import { temporaryStore } from './support.js'
import { fillSample } from './verify-fixture.js'

type Options = NonNullable<Parameters<typeof verifyPaths>[2]>

async function collect(verified: AsyncIterable<VerifiedPath>): Promise<VerifiedPath[]> {
  const all: VerifiedPath[] = []
  for await (const one of verified) all.push(one)
  return all
}

/** Checks what no store path has, with all that have one. */
async function loose(store: LocalStore, options: Options = {}): Promise<VerifiedPath> {
  const all = await collect(verifyPaths(store, allPathDigests(store), { ...options, loose: true }))
  const last = all.pop()!
  expect(all.flatMap(({ damages }) => damages)).toEqual([])
  expect([last.storePathDigest, last.storePath]).toEqual([undefined, undefined])
  return last
}

/** Content that belongs to no store path: small, and in chunks. */
async function addLoose(store: LocalStore) {
  const small = await store.blobs.put(Buffer.from('by itself'))
  const content = Buffer.alloc(3_000_000, 0).map((_, index) => (index * 2_654_435_761) >>> 13)
  const large = await store.blobs.put(content)
  const chunks = (await store.blobs.chunks(large))!.map(({ digest }) => digest)
  expect(chunks.length).toBeGreaterThan(3)
  return { small, large, chunks, content }
}

const faults = ({ damages }: VerifiedPath) =>
  damages.map(({ kind, digest }) => `${kind} ${digest?.toHex()}`).sort()

describe('what no store path has', () => {
  it('is read once, and what store paths have is not read again', async () => {
    const { store } = await fillSample(await temporaryStore())
    expect(await loose(store)).toMatchObject({ damages: [], directories: 0, blobs: 0, bytes: 0 })
    const { small, content } = await addLoose(store)
    expect(await store.blobs.has(small)).toBe(true)
    const bytes = content.length + 'by itself'.length
    expect(await loose(store)).toMatchObject({ damages: [], directories: 0, blobs: 2, bytes })
  })

  it('is found to be damaged: blobs, chunks, lists, directories', async () => {
    const { store, keep } = await fillSample(await temporaryStore())
    const { small, large, chunks } = await addLoose(store)
    damage(store, small)
    damage(store, chunks[1]!)
    expect(faults(await loose(store))).toEqual(
      [`blob-damaged ${small.toHex()}`, `chunk-damaged ${chunks[1]!.toHex()}`].sort(),
    )
    const other = B3Digest.of(Buffer.from('a directory'))
    const session = store.engine.write()
    session.put('directories', other.bytes, Buffer.from('something else'))
    session.put('blobs', large.bytes, Buffer.from('no list at all'))
    await session.commit()
    // The chunks belong to nothing any more, and are content by themselves.
    expect(faults(await loose(store))).toEqual(
      [
        `blob-damaged ${small.toHex()}`,
        `blob-damaged ${chunks[1]!.toHex()}`,
        `chunk-list-damaged ${large.toHex()}`,
        `directory-damaged ${other.toHex()}`,
      ].sort(),
    )
    expect(keep.equals(other)).toBe(false)
  })

  it('is mended from a store that has it, and marked where none has', async () => {
    const { store } = await fillSample(await temporaryStore())
    const { small, content } = await addLoose(store)
    await using from = await openStore('memory:')
    await from.blobs.put(Buffer.from('by itself'))
    const { chunks } = await addLoose(store)
    damage(store, small)
    damage(store, chunks[2]!)
    const { damages } = await loose(store, { repairFrom: [from], mark: true })
    expect(damages.map(({ digest, repaired, marked }) => [digest?.toHex(), repaired, marked])).toEqual(
      expect.arrayContaining([
        [small.toHex(), true, false],
        [chunks[2]!.toHex(), false, true],
      ]),
    )
    expect(Buffer.from((await store.blobs.get(small))!).toString()).toBe('by itself')
    // What is marked is stored anew by who has it.
    await store.blobs.put(content)
    expect(faults(await loose(store))).toEqual([])
  })

  it('is not damaged when it is gone meanwhile', async () => {
    const { store } = await fillSample(await temporaryStore())
    const { small } = await addLoose(store)
    damage(store, small)
    await using from = await openStore('memory:')
    const { engine } = store
    const forget = () => engine.forgetContent(small.bytes, engine.locate(small.bytes)!)
    let asked = 0
    // Who is asked to mend it takes it away.
    const blobs = new Proxy(from.blobs, {
      get: (target, name) => async (digest: B3Digest) => {
        if (asked++ === 0) expect(await forget()).toBe(true)
        expect([...['has', 'chunks', 'get', 'open']]).toContain(name)
        return name === 'has' ? target.has(digest) : undefined
      },
    })
    const { directories, pathInfos } = from
    const verified = await loose(store, { repairFrom: [{ blobs, directories, pathInfos }] })
    expect(asked).toBeGreaterThan(0)
    expect(engine.hasContent(small.bytes)).toBe(false)
    expect(verified.damages).toEqual([])
  })

  it('is not used by being verified: it may be garbage as before', async () => {
    const { store, info } = await fillSample(await temporaryStore())
    const { digest } = info.storePath
    const session = store.engine.write()
    session.put('used', digest, encodeUse(1000))
    await session.commit()
    // One that remembers no use.
    await using again = await openLocalStore(store.engine.path)
    const { engine } = again
    await loose(again, { mark: true, nar: true })
    await engine.uses.flush()
    expect(engine.uses.last(digest)).toBe(1000)
    await again.pathInfos.get(digest)
    await engine.uses.flush()
    expect(engine.uses.last(digest)).toBeGreaterThan(1000)
  })

  it('cannot be told by other stores', async () => {
    await using store = await openStore('memory:')
    await store.blobs.put(Buffer.from('by itself'))
    expect(await collect(verifyPaths(store, [], { loose: true }))).toEqual([])
  })
})
