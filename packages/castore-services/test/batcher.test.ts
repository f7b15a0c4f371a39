import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Batcher } from '../src/concurrency/batcher.js'
import { type Deferred, deferred, settled } from './deferred.js'

/** A batcher whose work a test finishes when it wants. */
function watched(limits: { maxItems?: number; maxBytes?: number } = {}) {
  const singles: { item: string; done: Deferred<string> }[] = []
  const batches: { items: readonly string[]; done: Deferred<string[]>; signal: AbortSignal }[] = []
  const batcher = new Batcher<string, string>({
    maxItems: limits.maxItems ?? 100,
    maxBytes: limits.maxBytes ?? 100,
    single(item) {
      const done = deferred<string>()
      singles.push({ item, done })
      return done.promise
    },
    batch(items, signal) {
      const done = deferred<string[]>()
      batches.push({ items, done, signal })
      return done.promise
    },
  })
  return { batcher, singles, batches }
}

describe('Batcher', () => {
  it('works on the first item at once and alone, and on what comes meanwhile together', async () => {
    const { batcher, singles, batches } = watched()
    const results = ['a', 'b', 'c', 'd'].map((item) => batcher.add(item, 1, undefined))
    expect(singles.map(({ item }) => item)).toEqual(['a'])
    await settled()
    expect(batches.map(({ items }) => items)).toEqual([['b', 'c', 'd']])
    batches[0]!.done.resolve(['B', 'C', 'D'])
    singles[0]!.done.resolve('A')
    expect(await Promise.all(results)).toEqual(['A', 'B', 'C', 'D'])
    void batcher.add('e', 1, undefined)
    expect(singles.map(({ item }) => item)).toEqual(['a', 'e'])
  })

  it('cuts batches by number and by bytes; one that is too large goes alone', async () => {
    const { batcher, singles, batches } = watched({ maxItems: 3, maxBytes: 10 })
    const sizes = [1, 1, 1, 1, 1, 9, 11, 5, 5]
    for (const [index, size] of sizes.entries()) void batcher.add(`${index}:${size}`, size, undefined)
    await settled()
    expect(singles.map(({ item }) => item)).toEqual(['0:1', '6:11'])
    expect(batches.map(({ items }) => items)).toEqual([
      ['1:1', '2:1', '3:1'],
      ['4:1', '5:9'],
    ])
    singles[0]!.done.resolve('')
    await settled()
    await settled()
    expect(batches.at(-1)!.items).toEqual(['7:5', '8:5'])
  })

  it('keeps at most four under way', async () => {
    const { batcher, batches } = watched({ maxItems: 2 })
    for (let index = 0; index < 20; index++) void batcher.add(`${index}`, 0, undefined)
    await settled()
    await settled()
    expect(batches.length).toBe(3)
    batches[0]!.done.resolve(['', ''])
    await settled()
    await settled()
    expect(batches.length).toBe(4)
  })

  it('fails everything of a batch that fails, and only what failed of one that did not', async () => {
    const { batcher, batches } = watched()
    const all = ['a', 'b', 'c'].map((item) => batcher.add(item, 0, undefined))
    const outcomes = Promise.allSettled(all.slice(1))
    await settled()
    batches[0]!.done.reject(new Error('no luck'))
    expect((await outcomes).map(({ status }) => status)).toEqual(['rejected', 'rejected'])

    const one = new Batcher<number, number>({
      maxItems: 10,
      maxBytes: 10,
      single: async (item) => item,
      batch: async (items) => items.map(async (item) => (item === 2 ? Promise.reject(new Error('2')) : item)),
    })
    const results = await Promise.allSettled([1, 2, 3].map((item) => one.add(item, 0, undefined)))
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
  })

  it('lets go of who cancels, and of the work when everybody has', async () => {
    const { batcher, batches } = watched()
    const controllers = [0, 1, 2, 3].map(() => new AbortController())
    const [, second, third, fourth] = controllers.map(({ signal }, index) =>
      batcher.add(`${index}`, 0, signal).catch((error: unknown) => error),
    )
    controllers[3]!.abort('early')
    expect(await fourth).toBe('early')
    await settled()
    expect(batches[0]!.items).toEqual(['1', '2'])
    controllers[1]!.abort('second')
    expect(await second).toBe('second')
    expect(batches[0]!.signal.aborted).toBe(false)
    controllers[2]!.abort('third')
    expect(await third).toBe('third')
    expect(batches[0]!.signal.aborted).toBe(true)
    await expect(batcher.add('x', 0, AbortSignal.abort('before'))).rejects.toBe('before')
  })

  it('gives everybody their own result, however they come and fail', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ size: fc.nat(20), wait: fc.boolean(), fails: fc.boolean() }), { maxLength: 60 }),
        async (items) => {
          const give = async (index: number): Promise<number> => {
            if (items[index]!.fails) throw index
            return index
          }
          const batcher = new Batcher<number, number>({
            maxItems: 5,
            maxBytes: 30,
            single: give,
            batch: async (some) => some.map(give),
          })
          const results: Promise<number>[] = []
          for (const [index, { size, wait }] of items.entries()) {
            const result = batcher.add(index, size, undefined)
            result.catch(() => undefined)
            results.push(result)
            if (wait) await settled()
          }
          const outcomes = await Promise.allSettled(results)
          expect(outcomes).toEqual(
            items.map(({ fails }, index) =>
              fails ? { status: 'rejected', reason: index } : { status: 'fulfilled', value: index },
            ),
          )
        },
      ),
    )
  })
})
