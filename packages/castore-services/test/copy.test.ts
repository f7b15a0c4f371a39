import { B3Digest, type Node } from '@neve/castore-model'
import { type CopyProgress, copyClosure } from '@neve/castore-services/copy'
import { describe, expect, it } from 'vitest'
import { randomClosure, upload } from '../src/contract/directory-fixtures.js'
import { SeededRandom } from '../src/contract/random.js'
import {
  altered,
  counted,
  failureOf,
  memoryServices,
  readClosure,
  rootsOnly,
  sampleTree,
  store,
  type Tree,
} from './copy-fixture.js'
import { PLACES, place } from './copy-places.js'
import { damageContent, embeddedServices } from './embedded-fixture.js'

const NAMES = Object.keys(PLACES)
/** Each with those that are at hand, and those that have most in between. */
const PAIRS = [
  ...NAMES.flatMap((name) => [['memory', name] as const, [name, 'embedded'] as const]),
  ['gRPC', 'object store'] as const,
  ['object store', 'gRPC'] as const,
]

describe('copying', () => {
  it.each(PAIRS)('from %s to %s: everything, then nothing, then what changed', async (fromName, toName) => {
    const from = await place(fromName)
    const to = await place(toName)
    const tree = sampleTree(1)
    const root = await store(from, tree)
    const expected = await readClosure(from, root.digest())
    const first = await copyClosure({ from, to }, root.digest())
    expect(await readClosure(to, root.digest())).toEqual(expected)
    expect(first.node).toEqual(root.toNode())
    expect(first.directories).toBe(expected.filter((line) => line.startsWith('directory')).length)
    expect(first.presentBlobs).toBe(0)
    expect(first.readBytes).toBe(first.bytes)

    const source = counted(from)
    const target = counted(to)
    const again = await copyClosure({ from: source, to: target }, root.toNode())
    expect([source.calls.total, target.calls.total, target.calls.count('directories.get')]).toEqual([0, 1, 1])
    expect(again).toMatchObject({ directories: 0, blobs: 0, bytes: 0, presentBlobs: 0 })

    const changed = await store(from, { ...tree, more: { new: 'new content' } })
    const third = await copyClosure({ from: source, to: target }, changed.toNode())
    expect(third).toMatchObject({ directories: 2, blobs: 1, bytes: 11, readBytes: 11 })
    expect(source.calls.count('blobs.get')).toBe(1)
    expect(source.calls.count('directories.get')).toBe(2)
    expect(await readClosure(to, changed.digest())).toEqual(await readClosure(from, changed.digest()))
  })

  it('a file, a symlink, an empty directory, an empty file', async () => {
    const [from, to] = [memoryServices(), memoryServices()]
    const root = await store(from, { file: 'content', link: { link: 'x' }, folder: {}, empty: '' })
    for (const { node } of root.entries) expect((await copyClosure({ from, to }, node)).node).toEqual(node)
    const digest = B3Digest.of(Buffer.from('content'))
    expect(await to.blobs.has(digest)).toBe(true)
    expect((await to.directories.get(B3Digest.EMPTY))?.entryCount).toBe(0)
    const target = memoryServices()
    const { node } = await copyClosure({ from, to: target }, digest)
    expect(node).toEqual({ kind: 'file', digest, size: 7n, executable: false })
    expect(Buffer.from((await target.blobs.get(digest))!).toString()).toBe('content')
  })

  it('each different blob once, however often it appears; none below what is there', async () => {
    const [from, to] = [memoryServices(), memoryServices()]
    const known = { a: 'one', b: { c: 'two' } }
    await store(to, known)
    const root = await store(from, { known, x: 'three', y: 'three', z: { z: 'three', o: 'one' } })
    const [source, target] = [counted(from), counted(to)]
    const result = await copyClosure({ from: source, to: target }, root.digest())
    expect(result).toMatchObject({ directories: 2, blobs: 1, bytes: 5, presentBlobs: 1 })
    expect(source.calls.count('blobs.get')).toBe(1)
    expect(target.calls.count('blobs.has')).toBe(2)
    expect(target.calls.count('blobs.put')).toBe(1)
  })

  it('what takes single directories gets just those that are missing; what does not gets the closure', async () => {
    const from = memoryServices()
    const tree = sampleTree(2)
    const known = await store(from, tree)
    const root = await store(from, { tree, extra: { more: { most: 'x' } } })
    for (const name of ['memory', 'closures']) {
      const to = await place(name)
      await copyClosure({ from, to }, known.digest())
      const target = counted(to)
      await copyClosure({ from, to: target }, root.digest())
      const puts = ['directories.put', 'putter.put'].map((call) => target.calls.count(call))
      const all = (await readClosure(from, root.digest())).filter((line) =>
        line.startsWith('directory'),
      ).length
      expect(puts).toEqual(name === 'memory' ? [3, 0] : [0, all])
      expect(await readClosure(to, root.digest())).toEqual(await readClosure(from, root.digest()))
    }
  })

  it('from a source that knows roots only', async () => {
    const { blobs, directories } = memoryServices()
    const root = await store({ blobs, directories }, sampleTree(3))
    const from = { blobs, directories: rootsOnly(directories, root.digest()) }
    const source = counted(from)
    const to = memoryServices()
    await copyClosure({ from: source, to }, root.digest())
    expect(source.calls.count('directories.getRecursive')).toBe(1)
    expect(await readClosure(to, root.digest())).toEqual(await readClosure(from, root.digest()))
  })

  it.each(['once', 'twice'] as const)('closures of every form, with sizes counted %s', async (rule) => {
    for (const toName of ['memory', 'embedded', 'closures']) {
      const from = memoryServices()
      const to = await place(toName)
      for (const seed of [1, 2, 3]) {
        const closure = randomClosure(120, seed, rule)
        const root = await upload(from.directories, ...closure)
        // A part of it is there before.
        const part = closure[40]!
        await copyClosure({ from, to }, part.digest())
        // Its files are none that anybody has: each is the empty blob, of a wrong size.
        await copyClosure({ from, to }, root)
        for (const directory of closure) expect(await to.directories.get(directory.digest())).toBeDefined()
      }
    }
  })

  it('many directories at once, never more calls than allowed', async () => {
    const [from, to] = [memoryServices(), memoryServices()]
    const tree: Record<string, Tree> = {}
    for (let i = 0; i < 700; i++) tree[`folder ${i}`] = { file: `content ${i}`, [`only ${i}`]: {} }
    const root = await store(from, tree)
    const later = new Promise<void>((resolve) => setImmediate(resolve))
    const blobs = altered(to.blobs, {
      has: async (...args) => {
        await later
        return to.blobs.has(...args)
      },
    })
    const slow = counted({ blobs, directories: to.directories })
    const result = await copyClosure({ from, to: slow }, root.digest(), { concurrency: 7 })
    // Directories and blobs each have so many.
    expect(slow.calls.most).toBeGreaterThanOrEqual(7)
    expect(slow.calls.most).toBeLessThanOrEqual(14)
    expect(result).toMatchObject({ directories: 702, blobs: 700 })
  })
})

describe('chunks', () => {
  it('that the target has are not read from the source', async () => {
    const from = await embeddedServices()
    const to = await embeddedServices()
    const before = new SeededRandom(7).bytes(12_000_000)
    const after = new Uint8Array(before)
    after.set([1, 2, 3, 4], 6_000_000)
    const old = await store(from, { image: before })
    await copyClosure({ from, to }, old.digest())
    const root = await store(from, { image: after })
    const source = counted(from)
    const result = await copyClosure(
      { from: { ...source, directories: from.directories }, to },
      root.digest(),
    )
    expect(result.bytes).toBe(12_000_000)
    expect(result.readBytes).toBeGreaterThan(0)
    expect(result.readBytes).toBeLessThan(2_500_000)
    expect(source.calls.count('blobs.get')).toBeLessThanOrEqual(4)
    expect(await readClosure(to, root.digest())).toEqual(await readClosure(from, root.digest()))

    // Damaged at the target, they are read from the source after all, and healed.
    const third = new Uint8Array(after)
    third.set([5, 6, 7], 11_000_000)
    const last = await store(from, { image: third })
    const [{ node }] = root.entries as unknown as [{ node: Node & { digest: B3Digest } }]
    const chunks = (await to.blobs.chunks(node.digest))!
    damageContent(to.engine, chunks[0]!.digest.bytes)
    await copyClosure({ from, to }, last.digest())
    expect(await readClosure(to, last.digest())).toEqual(await readClosure(from, last.digest()))
    expect(await readClosure(to, root.digest())).toEqual(await readClosure(from, root.digest()))
  })

  it('are left alone where the target is not known to be near', async () => {
    const from = await embeddedServices()
    const to = counted(memoryServices())
    const root = await store(from, { image: new SeededRandom(8).bytes(4_000_000) })
    await copyClosure({ from, to }, root.digest())
    expect(to.calls.count('blobs.get')).toBe(0)
    const asked = counted(memoryServices())
    await copyClosure({ from, to: asked }, root.digest(), { reuseChunks: true })
    expect(asked.calls.count('blobs.get')).toBeGreaterThan(4)
  })
})

describe('options', () => {
  it('thorough looks below what is there, and fills holes', async () => {
    for (const name of NAMES) {
      const from = memoryServices()
      const to = await place(name)
      const child = await store(from, { deep: 'deep', more: {} })
      const root = await store(from, { child: { deep: 'deep', more: {} }, other: 'other' })
      // Somebody stored just the root.
      if (['closures', 'object store', 'gRPC'].includes(name)) continue
      await to.directories.put(root)
      expect((await copyClosure({ from, to }, root.digest())).directories).toBe(0)
      expect(await to.directories.get(child.digest())).toBeUndefined()
      const result = await copyClosure({ from, to }, root.digest(), { thorough: true })
      expect(result).toMatchObject({ directories: 2, blobs: 2 })
      expect(await readClosure(to, root.digest())).toEqual(await readClosure(from, root.digest()))
    }
  })

  it('progress grows to the end', async () => {
    const from = memoryServices()
    const root = await store(from, sampleTree(6))
    const told: CopyProgress[] = []
    const result = await copyClosure({ from, to: memoryServices() }, root.digest(), {
      onProgress: (progress) => told.push(progress),
    })
    for (const [index, now] of told.entries()) {
      const before = told[index - 1]
      expect(now.doneBytes).toBeGreaterThanOrEqual(before?.doneBytes ?? 0)
      expect(now.doneBlobs).toBeLessThanOrEqual(now.blobs)
      expect(now.doneBytes).toBeLessThanOrEqual(now.bytes)
    }
    expect(told.at(-1)).toEqual({
      directories: result.directories,
      blobs: result.blobs,
      bytes: result.bytes,
      complete: true,
      doneBlobs: result.blobs,
      doneBytes: result.bytes,
    })
  })

  it.each([0, -1, 1.5, 5000, Number.NaN])('a concurrency of %s is refused', async (concurrency) => {
    const refused = copyClosure({ from: memoryServices(), to: memoryServices() }, B3Digest.EMPTY, {
      concurrency,
    })
    expect(await failureOf(refused)).toMatchObject({ code: 'invalid-input' })
  })
})
