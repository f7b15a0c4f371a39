import type { B3Digest, Directory } from '@neve/castore-model'
import { type CallOptions, CastoreError, RootToLeaves, traverseDirectory } from '@neve/castore-services'
import { MemoryDirectoryService } from '@neve/castore-services/directory/memory'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { A, B, D, digestsOf, directoryOf, randomClosure } from '../src/contract/directory-fixtures.js'
import { settled } from './deferred.js'

/** A service that counts its lookups and answers when the test says. */
class WatchedLookups {
  readonly asked: string[] = []
  running = 0
  most = 0
  readonly #directories: Map<string, Directory>

  constructor(
    directories: readonly Directory[],
    readonly before: (digest: B3Digest, options: CallOptions) => Promise<void> = async () => {},
  ) {
    this.#directories = new Map(directories.map((directory) => [directory.digest().key, directory]))
  }

  async get(digest: B3Digest, options: CallOptions = {}): Promise<Directory | undefined> {
    this.asked.push(digest.toString())
    this.running += 1
    this.most = Math.max(this.most, this.running)
    try {
      await this.before(digest, options)
    } finally {
      this.running -= 1
    }
    return this.#directories.get(digest.key)
  }
}

async function collect(source: AsyncIterable<Directory>): Promise<Directory[]> {
  const found: Directory[] = []
  for await (const directory of source) found.push(directory)
  return found
}

describe('traverseDirectory', () => {
  it('goes breadth first in order of names: D, A, B', async () => {
    const service = new WatchedLookups([A, B, D])
    expect(digestsOf(await collect(traverseDirectory(service, D.digest())))).toEqual(digestsOf([D, A, B]))
    expect(service.asked).toEqual(digestsOf([D, A, B]))
  })

  it('gives the same order with any look-ahead and any order of answers', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.integer({ min: 1, max: 30 }),
        fc.integer(),
        fc.integer({ min: 1, max: 9 }),
        async (scheduler, size, seed, lookAhead) => {
          const closure = randomClosure(size, seed)
          const root = closure.at(-1)!.digest()
          const expected = await collect(
            traverseDirectory(new WatchedLookups(closure), root, { lookAhead: 1 }),
          )
          const service = new WatchedLookups(closure, () => scheduler.schedule(Promise.resolve()))
          const found = collect(traverseDirectory(service, root, { lookAhead }))
          await scheduler.waitFor(found)
          expect(digestsOf(await found)).toEqual(digestsOf(expected))
          expect(service.most).toBeLessThanOrEqual(lookAhead)
          expect(new Set(service.asked).size).toBe(service.asked.length)
          const order = new RootToLeaves(root)
          expect((await found).map((directory) => order.add(directory))).not.toContain(false)
        },
      ),
      { numRuns: 50 },
    )
  })

  it('looks ahead as far as it may', async () => {
    const leaves = Array.from({ length: 50 }, (_, index) => directoryOf({ [`${index}`]: A.toNode() }))
    const root = directoryOf(Object.fromEntries(leaves.map((leaf, index) => [`n${index}`, leaf.toNode()])))
    const service = new WatchedLookups([A, root, ...leaves])
    expect(await collect(traverseDirectory(service, root.digest(), { lookAhead: 10 }))).toHaveLength(52)
    expect(service.most).toBe(10)
  })

  it('gives thousands of directories', async () => {
    const service = new MemoryDirectoryService()
    const leaves = Array.from({ length: 5000 }, (_, index) => directoryOf({ [`${index}`]: A.toNode() }))
    const root = directoryOf(Object.fromEntries(leaves.map((leaf, index) => [`n${index}`, leaf.toNode()])))
    for (const directory of [A, ...leaves, root]) await service.put(directory)
    expect(await collect(service.getRecursive(root.digest()))).toHaveLength(5002)
  })

  it('asks for nothing before it is iterated', async () => {
    const service = new WatchedLookups([A])
    const iterator = traverseDirectory(service, A.digest())
    await settled()
    expect(service.asked).toEqual([])
    await iterator.return()
    expect(service.asked).toEqual([])
  })

  it('names a directory that is missing', async () => {
    const service = new WatchedLookups([D, A])
    await expect(collect(traverseDirectory(service, D.digest(), { backend: 'here' }))).rejects.toMatchObject({
      code: 'data-loss',
      digest: B.digest(),
      backend: 'here',
      message: `directory ${B.digest()} does not exist (here)`,
    })
  })

  it('keeps the errors of the service, and wraps those of others', async () => {
    const own = new CastoreError('unavailable', 'try again later')
    const failing = (error: unknown) =>
      collect(traverseDirectory(new WatchedLookups([], () => Promise.reject(error)), A.digest()))
    await expect(failing(own)).rejects.toBe(own)
    const foreign = new Error('disk on fire')
    await expect(failing(foreign)).rejects.toMatchObject({
      code: 'storage',
      cause: foreign,
      message: `unable to look up directory ${A.digest()}: disk on fire`,
    })
  })

  it('stops its lookups, and waits for them, when the consumer leaves', async () => {
    const signals: AbortSignal[] = []
    const service = new WatchedLookups([D, A, B], async (digest, { signal }) => {
      if (digest.equals(D.digest())) return
      signals.push(signal!)
      await new Promise((resolve) => signal?.addEventListener('abort', resolve))
    })
    for await (const directory of traverseDirectory(service, D.digest())) {
      expect(directory.equals(D)).toBe(true)
      break
    }
    expect(signals).toHaveLength(2)
    expect(service.running).toBe(0)
  })
})
