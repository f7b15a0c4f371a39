import { SingleFlight } from '@neve/castore-services'
import { describe, expect, it } from 'vitest'
import { deferred, settled } from './deferred.js'

describe('SingleFlight', () => {
  it('does the work once for all who wait', async () => {
    const flights = new SingleFlight<string, number>()
    const gate = deferred<number>()
    let calls = 0
    const work = () => {
      calls += 1
      return gate.promise
    }
    const all = Promise.all(Array.from({ length: 100 }, () => flights.run('key', work)))
    const other = flights.run('other key', async () => 2)
    expect(flights.size).toBe(2)
    gate.resolve(1)
    expect(new Set(await all)).toEqual(new Set([1]))
    expect(await other).toBe(2)
    expect(calls).toBe(1)
    expect(flights.size).toBe(0)
  })

  it('remembers neither a value nor an error', async () => {
    const flights = new SingleFlight<string, number>()
    let calls = 0
    const failing = () =>
      flights.run('key', async () => {
        calls += 1
        throw new Error('no luck')
      })
    const outcomes = await Promise.allSettled([failing(), failing()])
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    expect(calls).toBe(1)
    expect(await flights.run('key', async () => 7)).toBe(7)
    expect(await flights.run('key', async () => 8)).toBe(8)
  })

  it('takes work that throws at once as work that fails', async () => {
    const flights = new SingleFlight<string, number>()
    const failure = new Error('at once')
    const run = flights.run('key', () => {
      throw failure
    })
    await expect(run).rejects.toBe(failure)
    expect(flights.size).toBe(0)
  })

  it('does not disturb the others when one gives up', async () => {
    const flights = new SingleFlight<string, number>()
    const gate = deferred<number>()
    let stop: AbortSignal | undefined
    const work = (signal: AbortSignal) => {
      stop = signal
      return gate.promise
    }
    const controller = new AbortController()
    const impatient = flights.run('key', work, { signal: controller.signal })
    const patient = flights.run('key', work)
    const reason = new Error('enough')
    controller.abort(reason)
    await expect(impatient).rejects.toBe(reason)
    expect(stop?.aborted).toBe(false)
    gate.resolve(3)
    expect(await patient).toBe(3)
  })

  it('stops the work when everybody has given up, and starts anew for who comes then', async () => {
    const flights = new SingleFlight<string, number>()
    const gate = deferred<number>()
    const stops: AbortSignal[] = []
    const work = (signal: AbortSignal) => {
      stops.push(signal)
      return gate.promise
    }
    const controllers = [new AbortController(), new AbortController()]
    const all = controllers.map(({ signal }) => flights.run('key', work, { signal }))
    const outcomes = Promise.allSettled(all)
    const reason = new Error('enough')
    controllers[0]!.abort(reason)
    await settled()
    expect(stops[0]?.aborted).toBe(false)
    controllers[1]!.abort(reason)
    await outcomes
    expect(stops[0]?.aborted).toBe(true)
    expect(stops[0]?.reason).toBe(reason)
    expect(flights.size).toBe(0)

    const late = flights.run('key', work)
    expect(stops).toHaveLength(2)
    gate.resolve(4)
    expect(await late).toBe(4)
  })

  it('does nothing for a signal that has fired before', async () => {
    const flights = new SingleFlight<string, number>()
    const reason = new Error('enough')
    let calls = 0
    const work = async () => ++calls
    await expect(flights.run('key', work, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    expect(calls).toBe(0)
  })
})
