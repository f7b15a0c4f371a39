import { expect, it } from 'vitest'
import type { DirectoryService } from '../directory-service.js'
import { A, closureOf, randomClosure, upload, WITH_KEEP } from './directory-fixtures.js'
import { listenerCases, type SignalledCall } from './listener-cases.js'

/** Each call, cancelled before it begins. */
const CALLS: readonly (readonly [
  string,
  (service: DirectoryService, signal: AbortSignal) => Promise<unknown>,
])[] = [
  ['get', (service, signal) => service.get(A.digest(), { signal })],
  ['put', (service, signal) => service.put(WITH_KEEP, { signal })],
  [
    'getRecursive',
    async (service, signal) => {
      for await (const _directory of service.getRecursive(A.digest(), { signal }));
    },
  ],
  ['putMultipleStart, at put', (service, signal) => service.putMultipleStart({ signal }).put(WITH_KEEP)],
  ['putMultipleStart, at close', (service, signal) => service.putMultipleStart({ signal }).close()],
  ['put of an upload', (service, signal) => service.putMultipleStart().put(WITH_KEEP, { signal })],
  [
    'close of an upload',
    async (service, signal) => {
      const putter = service.putMultipleStart()
      await putter.put(WITH_KEEP)
      await putter.close({ signal })
    },
  ],
]

/** Each call, run to its end. */
const WHOLE_CALLS: readonly SignalledCall<DirectoryService>[] = [
  ['get', (service, signal) => service.get(A.digest(), { signal })],
  ['put', (service, signal) => service.put(WITH_KEEP, { signal })],
  [
    'getRecursive',
    async (service, signal) => {
      const root = await upload(service, ...randomClosure(20, 3))
      for await (const _directory of service.getRecursive(root, { signal }));
      for await (const _directory of service.getRecursive(root, { signal })) break
    },
  ],
  [
    'putMultipleStart',
    async (service, signal) => {
      const putter = service.putMultipleStart({ signal })
      await putter.put(WITH_KEEP)
      await putter.close()
    },
  ],
  [
    'putMultipleStart, aborted',
    async (service, signal) => {
      const putter = service.putMultipleStart({ signal })
      await putter.put(WITH_KEEP)
      await putter.abort()
    },
  ],
  [
    'the calls of an upload',
    async (service, signal) => {
      const putter = service.putMultipleStart()
      await putter.put(WITH_KEEP, { signal })
      await putter.close({ signal })
    },
  ],
]

/** What a signal does to each call (DESIGN decision 14). */
export function directorySignalCases(service: () => DirectoryService): void {
  it.each(CALLS)('rejects with the reason: %s', async (_name, call) => {
    await service().put(A)
    const reason = new Error('not wanted any more')
    await expect(call(service(), AbortSignal.abort(reason))).rejects.toBe(reason)
    expect(await service().get(WITH_KEEP.digest())).toBeUndefined()
    expect((await service().get(A.digest()))?.equals(A)).toBe(true)
  })

  it('ends an upload whose signal fires', async () => {
    const controller = new AbortController()
    const putter = service().putMultipleStart({ signal: controller.signal })
    await putter.put(WITH_KEEP)
    const reason = new Error('not wanted any more')
    controller.abort(reason)
    await expect(putter.put(WITH_KEEP)).rejects.toBe(reason)
    await expect(putter.close()).rejects.toBe(reason)
    expect(await service().get(WITH_KEEP.digest())).toBeUndefined()
  })

  it('does not care for a signal that fires after close', async () => {
    const controller = new AbortController()
    const putter = service().putMultipleStart({ signal: controller.signal })
    await putter.put(WITH_KEEP)
    await putter.close()
    controller.abort()
    expect((await service().get(WITH_KEEP.digest()))?.equals(WITH_KEEP)).toBe(true)
  })

  it('stops a closure in the middle', async () => {
    const closure = randomClosure(200, 1)
    const root = await upload(service(), ...closure)
    const controller = new AbortController()
    const reason = new Error('not wanted any more')
    let count = 0
    const consume = async () => {
      for await (const _directory of service().getRecursive(root, { signal: controller.signal })) {
        count += 1
        if (count === 3) controller.abort(reason)
      }
    }
    await expect(consume()).rejects.toBe(reason)
    expect(count).toBe(3)
    expect(await closureOf(service(), root)).toHaveLength(200)
  })

  it.each(WHOLE_CALLS)('settles when the signal fires meanwhile: %s', async (_name, call) => {
    const controller = new AbortController()
    const reason = new Error('not wanted any more')
    const running = call(service(), controller.signal)
    controller.abort(reason)
    // It may have been too late; any other outcome is the reason.
    await running.catch((error: unknown) => expect(error).toBe(reason))
    expect((await service().put(WITH_KEEP)).equals(WITH_KEEP.digest())).toBe(true)
    expect((await service().get(WITH_KEEP.digest()))?.equals(WITH_KEEP)).toBe(true)
  })

  listenerCases(service, WHOLE_CALLS)
}
