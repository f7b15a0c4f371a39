import { it } from 'vitest'
import { eachOperation } from './faults/fault-suite.js'

/**
 * Bytes that arrive changed: nothing wrong is given, nothing is acknowledged that is not there, nothing hangs.
 *
 * Sockets are not counted here: Node.js 20 keeps the one of an HTTP/2 session that is closed after an error of protocol. It
 * is one a connection, not one a call, and a server's keep-alive gets rid of it.
 */
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
