import { getEventListeners } from 'node:events'
import { expect, it } from 'vitest'

/** A call that is over, and whose signal never fired. */
export type SignalledCall<S> = readonly [
  name: string,
  call: (service: S, signal: AbortSignal) => Promise<unknown>,
]

/** A long-lived signal sees millions of calls: each has to take its listeners away when it is over. */
export function listenerCases<S>(service: () => S, calls: readonly SignalledCall<S>[]): void {
  it.each(calls)('leaves no listener on a signal: %s', async (_name, call) => {
    const { signal } = new AbortController()
    await call(service(), signal)
    expect(getEventListeners(signal, 'abort')).toHaveLength(0)
  })
}
