import { type BytePermit, ByteSemaphore } from '@neve/castore-services'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { settled } from './deferred.js'

describe('ByteSemaphore', () => {
  it('serves in order: small requests do not overtake a large one', async () => {
    const semaphore = new ByteSemaphore(10)
    const order: string[] = []
    const first = await semaphore.acquire(6)
    const large = semaphore.acquire(8).then((permit) => {
      order.push('large')
      return permit
    })
    const small = semaphore.acquire(1).then((permit) => {
      order.push('small')
      return permit
    })
    await settled()
    expect(order).toEqual([])
    expect(semaphore.waiting).toBe(2)
    first.release()
    await settled()
    expect(order).toEqual(['large', 'small'])
    expect(semaphore.free).toBe(1)
    for (const permit of [await large, await small]) permit.release()
    expect(semaphore.free).toBe(10)
  })

  it('gives nothing at once, however full it is', async () => {
    const semaphore = new ByteSemaphore(1)
    await semaphore.acquire(1)
    const waiting = semaphore.acquire(1)
    const nothing = await semaphore.acquire(0)
    expect(nothing.amount).toBe(0)
    expect(semaphore.waiting).toBe(1)
    void waiting
  })

  it('gives all it has to a request for more', async () => {
    const semaphore = new ByteSemaphore(10)
    const permit = await semaphore.acquire(1000)
    expect(permit.amount).toBe(10)
    permit.release()
    expect(semaphore.free).toBe(10)
  })

  it('takes back once', async () => {
    const semaphore = new ByteSemaphore(10)
    {
      using permit = await semaphore.acquire(4)
      permit.release()
      permit.release()
    }
    expect(semaphore.free).toBe(10)
  })

  it('lets go of a request whose signal fires, and serves those behind it', async () => {
    const semaphore = new ByteSemaphore(10)
    await semaphore.acquire(9)
    const controller = new AbortController()
    const large = semaphore.acquire(5, { signal: controller.signal })
    const small = semaphore.acquire(1)
    const reason = new Error('enough')
    controller.abort(reason)
    await expect(large).rejects.toBe(reason)
    expect((await small).amount).toBe(1)
    await expect(semaphore.acquire(1, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    expect(semaphore.waiting).toBe(0)
  })

  it('does not take back what was granted when the signal fires later', async () => {
    const semaphore = new ByteSemaphore(2)
    const held = await semaphore.acquire(2)
    const controller = new AbortController()
    const waiting = semaphore.acquire(1, { signal: controller.signal })
    held.release()
    controller.abort()
    expect((await waiting).amount).toBe(1)
    expect(semaphore.free).toBe(1)
  })

  it('never gives out more than it has, and serves everybody', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 12 }), { maxLength: 40 }), async (amounts) => {
        const semaphore = new ByteSemaphore(10)
        const held: BytePermit[] = []
        const served: number[] = []
        let inUse = 0
        const all = amounts.map(async (amount, index) => {
          const permit = await semaphore.acquire(amount)
          inUse += permit.amount
          expect(inUse).toBeLessThanOrEqual(10)
          if (amount > 0) served.push(index)
          held.push(permit)
        })
        const everybody = Promise.all(all)
        while (served.length < amounts.filter((amount) => amount > 0).length) {
          await settled()
          const permit = held.shift()
          if (permit === undefined) continue
          inUse -= permit.amount
          permit.release()
        }
        await everybody
        for (const permit of held) permit.release()
        expect(served).toEqual([...served].sort((a, b) => a - b))
        expect(semaphore.free).toBe(10)
      }),
      { numRuns: 50 },
    )
  })

  it.each([-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY])('refuses to acquire %s', async (amount) => {
    await expect(new ByteSemaphore(10).acquire(amount)).rejects.toMatchObject({ code: 'invalid-input' })
  })

  it.each([0, -1, 0.5, Number.NaN])('refuses a capacity of %s', (capacity) => {
    expect(() => new ByteSemaphore(capacity)).toThrow(expect.objectContaining({ code: 'invalid-input' }))
  })
})
