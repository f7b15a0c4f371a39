import { it } from 'vitest'
import { eachOperation } from './faults/fault-suite.js'

/** Bytes that arrive changed: nothing wrong is given, nothing is acknowledged that is not there, nothing hangs. */
eachOperation((given) => {
  it('garbage on the way', async () => {
    const garbage = (after: number) => ({ kind: 'garbage' as const, after, length: 100 })
    await given.run(given.spread(4, garbage), { changed: true, timeout: 500 })
  })

  it('a bit turned on the way', async () => {
    await given.run(
      given.spread(12, (after) => ({ kind: 'flip', after })),
      { changed: true, timeout: 500 },
    )
  })
})
