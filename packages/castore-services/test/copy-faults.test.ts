import { B3Digest, type Node } from '@neve/castore-model'
import { CastoreError, DataLossError } from '@neve/castore-services'
import { type CopyServices, copyClosure } from '@neve/castore-services/copy'
import { describe, expect, it } from 'vitest'
import { randomClosure, upload } from '../src/contract/directory-fixtures.js'
import { SeededRandom } from '../src/contract/random.js'
import { ChunkingBlobService } from './chunking-blob-service.js'
import { altered, counted, failureOf, memoryServices, readClosure, store } from './copy-fixture.js'
import { place } from './copy-places.js'
import { damageContent, embeddedServices } from './embedded-fixture.js'

/** No directory at the target lacks anything below it. */
async function expectNoHoles(target: CopyServices, source: CopyServices, root: B3Digest): Promise<void> {
  for await (const directory of source.directories.getRecursive(root)) {
    if ((await target.directories.get(directory.digest())) === undefined) continue
    expect(await readClosure(target, directory.digest())).toEqual(
      await readClosure(source, directory.digest()),
    )
  }
}

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
