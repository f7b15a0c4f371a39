import { B3Digest, type Node } from '@neve/castore-model'
import { CastoreError, DataLossError } from '@neve/castore-services'
import { ObjectStoreBlobService } from '@neve/castore-services/blob/object-store'
import { type CopyProgress, type CopyServices, copyClosure } from '@neve/castore-services/copy'
import { ObjectStoreDirectoryService } from '@neve/castore-services/directory/object-store'
import { GrpcBlobService, GrpcDirectoryService } from '@neve/castore-services/grpc'
import { MemoryObjectStore } from '@neve/castore-services/object-store'
import { describe, expect, it, onTestFinished } from 'vitest'
import { randomClosure, upload } from '../src/contract/directory-fixtures.js'
import { SeededRandom } from '../src/contract/random.js'
import { ChunkingBlobService } from './chunking-blob-service.js'
import {
  altered,
  counted,
  memoryServices,
  readClosure,
  rootsOnly,
  sampleTree,
  store,
  type Tree,
} from './copy-fixture.js'
import { damageContent, embeddedServices } from './embedded-fixture.js'
import { grpcPair } from './grpc-fixture.js'

/** Everything that a closure can be copied from and to. */
const PLACES: Readonly<Record<string, () => Promise<CopyServices>>> = {
  memory: async () => memoryServices(),
  embedded: async () => embeddedServices(),
  chunking: async () => ({ ...memoryServices(), blobs: new ChunkingBlobService(65536) }),
  'object store': async () => {
    const store = new MemoryObjectStore()
    return {
      blobs: new ObjectStoreBlobService({ store }),
      directories: new ObjectStoreDirectoryService({ store }),
    }
  },
  gRPC: async () => {
    const pair = await grpcPair('unix', memoryServices())
    onTestFinished(() => pair.close())
    return {
      blobs: new GrpcBlobService(pair.channel),
      directories: new GrpcDirectoryService(pair.channel),
    }
  },
  closures: async () => {
    const { blobs, directories } = memoryServices()
    return { blobs, directories: closuresOnly(directories) }
  },
}

/** Finds every directory, but takes whole closures only. */
function closuresOnly(inner: CopyServices['directories']): CopyServices['directories'] {
  const { put } = rootsOnly(inner, B3Digest.EMPTY)
  return {
    put,
    get: (...args) => inner.get(...args),
    getRecursive: (...args) => inner.getRecursive(...args),
    putMultipleStart: (...args) => inner.putMultipleStart(...args),
  }
}

const NAMES = Object.keys(PLACES)
/** Each with those that are at hand, and those that have most in between. */
const PAIRS = [
  ...NAMES.flatMap((name) => [['memory', name] as const, [name, 'embedded'] as const]),
  ['gRPC', 'object store'] as const,
  ['object store', 'gRPC'] as const,
]
const place = (name: string): Promise<CopyServices> => PLACES[name]!()

async function failureOf(doing: Promise<unknown>): Promise<Error> {
  const outcome = await doing.then(
    () => undefined,
    (error: unknown) => error,
  )
  expect(outcome).toBeInstanceOf(Error)
  return outcome as Error
}

/** No directory at the target lacks anything below it. */
async function expectNoHoles(target: CopyServices, source: CopyServices, root: B3Digest): Promise<void> {
  for await (const directory of source.directories.getRecursive(root)) {
    if ((await target.directories.get(directory.digest())) === undefined) continue
    expect(await readClosure(target, directory.digest())).toEqual(
      await readClosure(source, directory.digest()),
    )
  }
}

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

describe('interrupted anywhere', () => {
  it.each(['memory', 'embedded', 'closures', 'object store'])(
    'nothing at %s lacks anything, and the next run does the rest',
    async (toName) => {
      const from = memoryServices()
      const tree = {
        a: 'a',
        b: { c: { d: 'd', e: new SeededRandom(9).bytes(1_200_000) }, f: 'f' },
        g: { h: 'h' },
      }
      const root = await store(from, tree)
      const expected = await readClosure(from, root.digest())
      const whole = counted(await place(toName))
      await copyClosure({ from, to: whole }, root.digest(), { concurrency: 2 })
      for (let at = 1; at <= whole.calls.total; at++) {
        const to = await place(toName)
        const controller = new AbortController()
        const target = counted(to)
        const reason = new Error(`stopped at call ${at}`)
        target.calls.before = (_, total) => {
          if (total === at) controller.abort(reason)
        }
        const { signal } = controller
        const stopped = copyClosure({ from, to: target }, root.digest(), { signal, concurrency: 2 })
        // The last calls may be too late to stop.
        const outcome = await stopped.catch((error: unknown) => error)
        if (outcome instanceof Error) expect(outcome).toBe(reason)
        await expectNoHoles(to, from, root.digest())
        const before = await presentBlobs(to, from, root.digest())
        const result = await copyClosure({ from, to }, root.digest())
        if (result.directories > 0) expect(result.blobs).toBeLessThanOrEqual(5 - before)
        expect(await readClosure(to, root.digest())).toEqual(expected)
      }
    },
  )

  it.each(['memory', 'embedded', 'closures', 'object store'])(
    'a call to %s that fails ends it with that error',
    async (toName) => {
      const from = memoryServices()
      const root = await store(from, { a: 'a', b: { c: { d: 'd' }, f: 'f' }, g: { h: 'h' } })
      const whole = counted(await place(toName))
      await copyClosure({ from, to: whole }, root.digest())
      for (let at = 1; at <= whole.calls.total; at++) {
        const to = await place(toName)
        const target = counted(to)
        const error = new CastoreError('unavailable', `call ${at} failed`)
        target.calls.before = (name, total) => {
          if (total === at && !/^putter|uncheckedPutter/.test(name)) throw error
        }
        const outcome = await copyClosure({ from, to: target }, root.digest()).catch(
          (thrown: unknown) => thrown,
        )
        if (outcome instanceof Error) expect(outcome).toBe(error)
        await expectNoHoles(to, from, root.digest())
        await copyClosure({ from, to }, root.digest())
        expect(await readClosure(to, root.digest())).toEqual(await readClosure(from, root.digest()))
      }
    },
  )

  it('a signal that fired before: nothing is asked', async () => {
    const [from, to] = [counted(memoryServices()), counted(memoryServices())]
    const reason = new Error('no')
    const signal = AbortSignal.abort(reason)
    expect(await failureOf(copyClosure({ from, to }, B3Digest.EMPTY, { signal }))).toBe(reason)
    expect([from.calls.total, to.calls.total]).toEqual([0, 0])
  })
})

async function presentBlobs(target: CopyServices, source: CopyServices, root: B3Digest): Promise<number> {
  let present = 0
  for (const line of await readClosure(source, root)) {
    if (!line.startsWith('blob')) continue
    if (await target.blobs.has(B3Digest.parse(line.split(' ')[1]!))) present++
  }
  return present
}

describe('a source that is damaged', () => {
  const tree = {
    fine: 'fine',
    folder: { bad: 'bad content', more: 'x' },
    large: new SeededRandom(5).bytes(2_000_000),
  }

  async function expectRefused(
    from: CopyServices,
    root: B3Digest | Node,
    expected: Readonly<Record<string, unknown>>,
  ): Promise<Error> {
    const digest = root instanceof B3Digest ? root : (root as Node & { digest: B3Digest }).digest
    let last: Error | undefined
    for (const name of ['memory', 'embedded', 'closures']) {
      const to = await place(name)
      last = await failureOf(copyClosure({ from, to }, root))
      expect(last).toMatchObject(expected)
      expect(await to.directories.get(digest)).toBeUndefined()
    }
    return last!
  }

  it.each([['folder', 'bad'], ['large']])('a blob that is damaged: %s', async (...path) => {
    const from = await embeddedServices()
    const root = await store(from, tree)
    const content = path.length === 2 ? Buffer.from('bad content') : tree.large
    const blob = B3Digest.of(content)
    const chunks = (await from.blobs.chunks(blob))!
    damageContent(from.engine, (chunks[2]?.digest ?? blob).bytes)
    await expectRefused(from, root.digest(), { code: 'data-loss' })
  })

  it('a blob or a chunk that is missing, a chunk list that lies', async () => {
    const blobs = new ChunkingBlobService(65536)
    const from = { ...memoryServices(), blobs }
    const root = await store(from, tree)
    const large = B3Digest.of(tree.large)
    const list = blobs.lists.get(large.key)!
    const piece = blobs.pieces.get(list[3]!.digest.key)!
    blobs.pieces.delete(list[3]!.digest.key)
    await expectRefused(from, root.digest(), { code: 'data-loss' })
    blobs.pieces.set(list[3]!.digest.key, piece)
    // Of the right length, of chunks that are right in themselves.
    blobs.lists.set(large.key, [list[1]!, list[0]!, ...list.slice(2)])
    await expectRefused(from, root.digest(), { code: 'data-loss' })
    blobs.lists.set(large.key, list)
    blobs.pieces.delete(B3Digest.of(Buffer.from('bad content')).key)
    const error = await expectRefused(from, root.digest(), { code: 'data-loss', name: 'DataLossError' })
    expect((error as DataLossError).digest).toEqual(B3Digest.of(Buffer.from('bad content')))
  })

  it('a source that gives other bytes, or another directory', async () => {
    const inner = memoryServices()
    const root = await store(inner, { fine: 'fine', folder: { bad: 'bad' } })
    const wrong = altered(inner.blobs, { get: async () => Buffer.from('bat') })
    const child = await store(inner, { bad: 'bad' })
    await expectRefused({ ...inner, blobs: wrong }, child.digest(), { code: 'data-loss' })
    const liar = counted(inner).directories
    const directories = Object.assign(Object.create(liar), { get: async () => root })
    await expectRefused({ ...inner, directories }, child.toNode(), { code: 'data-loss' })
  })

  it('a directory that is missing, at every depth', async () => {
    const from = memoryServices()
    const closure = randomClosure(12, 4)
    await upload(from.directories, ...closure)
    const root = closure.at(-1)!
    for (const missing of closure.slice(0, -1)) {
      const part = memoryServices()
      for (const directory of closure) if (directory !== missing) await part.directories.put(directory)
      await expectRefused(part, root.digest(), { code: 'data-loss' })
    }
  })

  it('a node that says another size than its blob or directory has', async () => {
    const from = memoryServices()
    const good = await store(from, { file: 'content', folder: { x: 'x' } })
    for (const size of [6n, 8n, 2_000_000n, 2n ** 63n]) {
      const nodes = good.entries.map(({ name, node }) => [
        name,
        node.kind === 'file' ? { ...node, size } : node,
      ])
      const root = (good.constructor as typeof import('@neve/castore-model').Directory).fromEntries(
        nodes as never,
      )
      await from.directories.put(root)
      await expectRefused(from, root.digest(), { code: 'size' })
    }
    const wrong = good.entries.map(({ name, node }) => [
      name,
      node.kind === 'directory' ? { ...node, size: 9n } : node,
    ])
    const root = (good.constructor as typeof import('@neve/castore-model').Directory).fromEntries(
      wrong as never,
    )
    await from.directories.put(root)
    await expectRefused(from, root.digest(), { code: 'size' })
  })

  it('a root that nobody has', async () => {
    const absent = B3Digest.of(Buffer.from('absent'))
    await expectRefused(memoryServices(), absent, { code: 'not-found' })
    await expectRefused(
      memoryServices(),
      { kind: 'directory', digest: absent, size: 1n },
      { code: 'not-found' },
    )
    const file: Node = { kind: 'file', digest: absent, size: 1n, executable: false }
    const failed = copyClosure({ from: memoryServices(), to: memoryServices() }, file)
    expect(await failureOf(failed)).toBeInstanceOf(DataLossError)
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
