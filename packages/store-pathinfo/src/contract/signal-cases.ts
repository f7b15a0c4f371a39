import { getEventListeners } from 'node:events'
import { expect, it } from 'vitest'
import type { PathInfoService } from '../path-info-service.js'
import { randomPathInfo } from './path-info-fixtures.js'
import { listed } from './use-path-infos.js'

type SignalledCall = (service: PathInfoService, signal: AbortSignal) => Promise<unknown>

const [A, B] = [randomPathInfo(1), randomPathInfo(2)]

const CALLS: readonly (readonly [string, SignalledCall])[] = [
  ['get', (service, signal) => service.get(A.storePath.digest, { signal })],
  ['get of none', (service, signal) => service.get(B.storePath.digest, { signal })],
  ['has', (service, signal) => service.has(A.storePath.digest, { signal })],
  ['put', (service, signal) => service.put(B, { signal })],
]

/** What a signal does to each call (DESIGN decision 14). */
export function signalCases(service: () => PathInfoService, list: boolean): void {
  const calls = list
    ? [...CALLS, ['list', (service, signal) => listed(service, { signal })] as (typeof CALLS)[number]]
    : CALLS

  it.each(calls)('rejects with the reason: %s', async (_name, call) => {
    await service().put(A)
    const reason = new Error('not wanted any more')
    await expect(call(service(), AbortSignal.abort(reason))).rejects.toBe(reason)
    expect(await service().get(B.storePath.digest)).toBeUndefined()
    expect(await service().get(A.storePath.digest)).toEqual(A)
  })

  it.each(calls)('settles when the signal fires meanwhile: %s', async (_name, call) => {
    await service().put(A)
    const controller = new AbortController()
    const reason = new Error('not wanted any more')
    const running = call(service(), controller.signal)
    controller.abort(reason)
    // It may have been too late; any other outcome is the reason.
    await running.catch((error: unknown) => expect(error).toBe(reason))
    expect(await service().put(B)).toEqual(B)
    expect(await service().get(A.storePath.digest)).toEqual(A)
  })

  it.each(calls)('leaves no listener behind: %s', async (_name, call) => {
    await service().put(A)
    const { signal } = new AbortController()
    await call(service(), signal)
    await call(service(), signal)
    expect(getEventListeners(signal, 'abort')).toHaveLength(0)
  })

  if (!list) return
  it('stops a list in the middle', async () => {
    for (let i = 1; i <= 20; i++) await service().put(randomPathInfo(i))
    const controller = new AbortController()
    const reason = new Error('not wanted any more')
    let count = 0
    const consume = async () => {
      for await (const _info of service().list({ signal: controller.signal })) {
        count++
        if (count === 3) controller.abort(reason)
      }
    }
    await expect(consume()).rejects.toBe(reason)
    expect(count).toBe(3)
    expect(await listed(service())).toHaveLength(20)
  })
}
