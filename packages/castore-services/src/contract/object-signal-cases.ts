import { expect, it } from 'vitest'
import type { ObjectStore } from '../object-store/object-store.js'
import { sameBytes } from './blob-fixtures.js'
import { CONTENT, KEY, listed, OTHER_KEY } from './object-fixtures.js'
import { randomBytes } from './random.js'

/** Each call, to be cancelled. */
const CALLS: readonly (readonly [string, (store: ObjectStore, signal: AbortSignal) => Promise<unknown>])[] = [
  ['head', (store, signal) => store.head(KEY, { signal })],
  ['get', (store, signal) => store.get(KEY, { signal })],
  ['get of a range', (store, signal) => store.get(KEY, { signal, range: { offset: 1, length: 2 } })],
  ['put', (store, signal) => store.put(OTHER_KEY, CONTENT, { signal })],
  ['putIfAbsent', (store, signal) => store.putIfAbsent(OTHER_KEY, CONTENT, { signal })],
  ['list', (store, signal) => listed(store, '', { signal })],
  ['delete', (store, signal) => store.delete(KEY, { signal })],
]

/** What a signal does to each call (DESIGN decision 14). */
export function objectSignalCases(store: () => ObjectStore): void {
  it.each(CALLS)('rejects with the reason: %s', async (_name, call) => {
    await store().put(KEY, CONTENT)
    const reason = new Error('not wanted any more')
    await expect(call(store(), AbortSignal.abort(reason))).rejects.toBe(reason)
    expect(await listed(store(), '')).toEqual({ [KEY]: CONTENT.length })
  })

  it.each(CALLS)('can be cancelled while it runs: %s', async (_name, call) => {
    await store().put(KEY, CONTENT)
    const controller = new AbortController()
    const reason = new Error('not wanted any more')
    const running = call(store(), controller.signal)
    controller.abort(reason)
    await running.catch((error: unknown) => expect(error).toBe(reason))
    // Whatever has happened of it: what is there is whole.
    for (const key of [KEY, OTHER_KEY]) {
      const found = await store().get(key)
      if (found !== undefined) expect(sameBytes(found, CONTENT)).toBe(true)
    }
  })

  it('stops a list in the middle', async () => {
    for (let index = 0; index < 5; index++) await store().put(`many/${index}`, CONTENT)
    const controller = new AbortController()
    const reason = new Error('not wanted any more')
    const consume = async () => {
      for await (const _ of store().list('many/', { signal: controller.signal })) controller.abort(reason)
    }
    await expect(consume()).rejects.toBe(reason)
  })

  it('leaves all of an object or none of it when a large put is cancelled', async () => {
    const large = randomBytes(8 * 1024 * 1024, 1)
    const controller = new AbortController()
    const reason = new Error('not wanted any more')
    const putting = store().put(KEY, large, { signal: controller.signal })
    controller.abort(reason)
    await putting.catch((error: unknown) => expect(error).toBe(reason))
    const found = await store().get(KEY)
    if (found !== undefined) expect(sameBytes(found, large)).toBe(true)
    await store().put(KEY, CONTENT)
  })

  it('does not care for a signal that fires after the call', async () => {
    const controller = new AbortController()
    await store().put(KEY, CONTENT, { signal: controller.signal })
    const found = await store().get(KEY, { signal: controller.signal })
    controller.abort()
    expect(sameBytes(found, CONTENT)).toBe(true)
    expect(await store().head(KEY)).toMatchObject({ key: KEY, size: CONTENT.length })
  })
}
