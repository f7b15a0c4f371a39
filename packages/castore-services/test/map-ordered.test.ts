import { mapOrdered } from '@neve/castore-services'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Deferred, deferred, settled } from './deferred.js'

async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = []
  for await (const item of source) items.push(item)
  return items
}

/** A source that counts what it gave and knows whether it was closed. */
function counted(length: number) {
  const state = { given: 0, closed: false }
  async function* items() {
    try {
      while (state.given < length) yield state.given++
    } finally {
      state.closed = true
    }
  }
  return { state, items: items() }
}

describe('mapOrdered', () => {
  it('keeps the order and the bound, whatever finishes first', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.array(fc.integer(), { maxLength: 30 }),
        fc.integer({ min: 1, max: 8 }),
        async (scheduler, items, concurrency) => {
          let running = 0
          let most = 0
          const results = collect(
            mapOrdered(items, concurrency, async (item) => {
              running += 1
              most = Math.max(most, running)
              await scheduler.schedule(Promise.resolve())
              running -= 1
              return item * 2
            }),
          )
          await scheduler.waitFor(results)
          expect(await results).toEqual(items.map((item) => item * 2))
          expect(most).toBeLessThanOrEqual(concurrency)
        },
      ),
      { numRuns: 50 },
    )
  })

  it('does as much at once as it may, while nobody takes the results', async () => {
    const { items, state } = counted(100)
    const started: number[] = []
    const mapped = mapOrdered(items, 5, async (item) => {
      started.push(item)
      return item
    })
    expect(state.given).toBe(0)
    expect((await mapped.next()).value).toBe(0)
    await settled()
    // One was taken; five more are held, done and not taken.
    expect(started).toEqual([0, 1, 2, 3, 4, 5])
    expect(state.given).toBe(6)
    await mapped.return()
    expect(state.closed).toBe(true)
  })

  it('gives what came before an error of the work, and starts nothing after it', async () => {
    const { items, state } = counted(1000)
    const failure = new Error('the third')
    const results: number[] = []
    const consume = async () => {
      const work = async (item: number) => {
        if (item === 3) throw failure
        return item
      }
      for await (const item of mapOrdered(items, 2, work)) results.push(item)
    }
    await expect(consume()).rejects.toBe(failure)
    expect(results).toEqual([0, 1, 2])
    expect(state.closed).toBe(true)
    expect(state.given).toBeLessThan(8)
  })

  it('gives what came before an error of the source', async () => {
    const failure = new Error('the source')
    async function* source() {
      yield 1
      yield 2
      throw failure
    }
    const results: number[] = []
    const consume = async () => {
      for await (const item of mapOrdered(source(), 4, async (item) => item)) results.push(item)
    }
    await expect(consume()).rejects.toBe(failure)
    expect(results).toEqual([1, 2])
  })

  it('tells running work to stop, and waits for it, when the consumer leaves', async () => {
    const gates: Deferred<void>[] = []
    const signals: AbortSignal[] = []
    let finished = 0
    const mapped = mapOrdered([0, 1, 2, 3], 3, async (item, signal) => {
      signals.push(signal)
      const gate = deferred<void>()
      gates.push(gate)
      await gate.promise
      finished += 1
      return item
    })
    const first = mapped.next()
    await settled()
    gates[0]!.resolve()
    expect((await first).value).toBe(0)
    await settled()
    const leaving = mapped.return()
    await settled()
    expect(signals.every((signal) => signal.aborted)).toBe(true)
    expect(finished).toBe(1)
    for (const gate of gates) gate.resolve()
    await leaving
    expect(finished).toBe(4)
  })

  it('rejects with the reason when the signal fires, even if the source is stuck', async () => {
    const controller = new AbortController()
    const stuck: AsyncIterable<number> = {
      [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }),
    }
    const result = collect(mapOrdered(stuck, 2, async (item) => item, { signal: controller.signal }))
    await settled()
    const reason = new Error('enough')
    controller.abort(reason)
    await expect(result).rejects.toBe(reason)
  })

  it('passes the reason on to the work', async () => {
    const controller = new AbortController()
    const reason = new Error('enough')
    let seen: unknown
    const result = collect(
      mapOrdered(
        [1],
        1,
        (_item, signal) =>
          new Promise<void>((resolve) => {
            signal.addEventListener('abort', () => {
              seen = signal.reason
              resolve()
            })
          }),
        { signal: controller.signal },
      ),
    )
    await settled()
    controller.abort(reason)
    await expect(result).rejects.toBe(reason)
    expect(seen).toBe(reason)
  })

  it('asks for nothing when the signal has fired before', async () => {
    const { items, state } = counted(3)
    const reason = new Error('enough')
    const mapped = mapOrdered(items, 2, async (item) => item, { signal: AbortSignal.abort(reason) })
    await expect(mapped.next()).rejects.toBe(reason)
    expect(state.given).toBe(0)
  })

  it.each([0, -1, 1.5, Number.NaN])('refuses a concurrency of %s', async (concurrency) => {
    const mapped = mapOrdered([1], concurrency, async (item) => item)
    await expect(mapped.next()).rejects.toMatchObject({ code: 'invalid-input' })
  })
})
