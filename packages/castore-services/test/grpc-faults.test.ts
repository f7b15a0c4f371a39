import { expect, it } from 'vitest'
import { DIRECTIONS, eachOperation } from './faults/fault-suite.js'
import { cleanRun } from './faults/faulty-run.js'
import { expectNoLeaks } from './faults/leaks.js'

/** What networks do to connections: every service, both ways. Nothing wrong, no hang, and nothing left open. */
eachOperation((given) => {
  expectNoLeaks(async () => {
    await cleanRun(given.operation)
  })

  it('a connection that is cut, at messages and between, once', async () => {
    const cut = (after: number) => ({ kind: 'cut' as const, after })
    await given.run([...given.atEnds(10, cut), ...given.spread(6, cut)], { once: true })
  })

  it('every connection is cut', async () => {
    const outcomes = await given.run(given.spread(3, (after) => ({ kind: 'cut', after })))
    expect(outcomes.some((outcome) => 'error' in outcome)).toBe(true)
    for (const outcome of outcomes) {
      if ('error' in outcome) expect(outcome.error).toMatchObject({ code: 'unavailable' })
    }
  })

  it('one side stops sending, once', async () => {
    await given.run(
      given.spread(5, (after) => ({ kind: 'end', after })),
      { once: true },
    )
  })

  it('the cable is out: no hang', async () => {
    const outcomes = await given.run(
      given.spread(2, (after) => ({ kind: 'stall', after })),
      { timeout: 400 },
    )
    for (const outcome of outcomes) {
      if ('error' in outcome) expect(outcome.error).toMatchObject({ code: 'unavailable' })
    }
  })

  it('a slow drip', async () => {
    for (const direction of DIRECTIONS) {
      const bytes = Math.max(7, Math.ceil(given.clean().bytes[direction] / 500))
      const [outcome] = await given.run([{ direction, fault: { kind: 'drip', bytes } }])
      expect(outcome).toHaveProperty('value')
    }
  })
})
