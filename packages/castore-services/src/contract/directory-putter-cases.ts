import type { Directory } from '@neve/castore-model'
import { expect, it } from 'vitest'
import type { DirectoryPutter, DirectoryService } from '../directory-service.js'
import {
  A,
  B,
  BROKEN_PARENT,
  C,
  COMPLICATED,
  closureOf,
  D,
  digestsOf,
  directoryOf,
  distinctDirectory,
  upload,
  WITH_KEEP,
} from './directory-fixtures.js'
import type { KnownDirectoryCapabilities } from './directory-service-contract.js'

/** Puts and closes; a service may report what is wrong with a put at any later call. */
async function uploadAll(putter: DirectoryPutter, directories: readonly Directory[]): Promise<unknown> {
  for (const directory of directories) await putter.put(directory)
  return await putter.close()
}

/** What an upload refuses, and what its calls do out of order (spec 03 sections 2.1 and 14). */
export function directoryPutterCases(
  service: () => DirectoryService,
  { ordersEagerly }: KnownDirectoryCapabilities,
): void {
  it('03#6 refuses at close what is not connected', async () => {
    await using putter = service().putMultipleStart()
    await putter.put(A)
    await putter.put(C)
    await putter.put(B)
    await expect(putter.close()).rejects.toMatchObject({ code: 'disconnected' })
  })

  it('03#7 refuses a directory whose child was put elsewhere only', async () => {
    await service().put(A)
    await using putter = service().putMultipleStart()
    await expect(uploadAll(putter, [B])).rejects.toMatchObject({ code: 'order' })
  })

  it('03#37 03#39 refuses a parent that comes before its child', async () => {
    await using putter = service().putMultipleStart()
    await expect(uploadAll(putter, [B, A])).rejects.toMatchObject({ code: 'order' })
    await expect(putter.close()).rejects.toMatchObject({ code: 'order' })
    expect(await service().get(B.digest())).toBeUndefined()
  })

  if (ordersEagerly) {
    it('refuses what is out of order in the put itself', async () => {
      await using putter = service().putMultipleStart()
      await expect(putter.put(B)).rejects.toMatchObject({ code: 'order' })
      await expect(putter.put(A)).rejects.toMatchObject({ code: 'order' })
    })

    it('refuses a wrong size in the put itself', async () => {
      await using putter = service().putMultipleStart()
      await putter.put(A)
      await expect(putter.put(BROKEN_PARENT)).rejects.toMatchObject({ code: 'size' })
    })
  }

  it('03#8 refuses a wrong size', async () => {
    await using putter = service().putMultipleStart()
    await putter.put(A)
    await expect(uploadAll(putter, [BROKEN_PARENT])).rejects.toMatchObject({ code: 'size' })
    expect(await service().get(BROKEN_PARENT.digest())).toBeUndefined()
  })

  // WITH_KEEP has one entry: its size is 1, or 2 with every entry counted twice. COMPLICATED: 4 to 7.
  it.each([
    [WITH_KEEP, 0n, false],
    [WITH_KEEP, 1n, true],
    [WITH_KEEP, 2n, true],
    [WITH_KEEP, 3n, false],
    [COMPLICATED, 3n, false],
    [COMPLICATED, 4n, true],
    [COMPLICATED, 7n, true],
    [COMPLICATED, 8n, false],
  ])('takes sizes that either count gives: %#', async (child, size, accepted) => {
    const parent = directoryOf({ child: { ...child.toNode(), size } })
    const closure = child === COMPLICATED ? [WITH_KEEP, COMPLICATED, parent] : [child, parent]
    await using putter = service().putMultipleStart()
    const outcome = uploadAll(putter, closure)
    if (accepted) {
      expect(String(await outcome)).toBe(parent.digest().toString())
      expect(await closureOf(service(), parent.digest())).toHaveLength(closure.length)
    } else {
      await expect(outcome).rejects.toMatchObject({ code: 'size' })
      expect(await service().get(parent.digest())).toBeUndefined()
    }
  })

  it('refuses to close an upload of nothing', async () => {
    await using putter = service().putMultipleStart()
    await expect(putter.close()).rejects.toMatchObject({ code: 'empty' })
  })

  it('can be started and left', async () => {
    await using _untouched = service().putMultipleStart()
    const abandoned = service().putMultipleStart()
    await abandoned.put(WITH_KEEP)
    await abandoned[Symbol.asyncDispose]()
    expect(await service().get(WITH_KEEP.digest())).toBeUndefined()
  })

  it('finishes a close that runs when it is disposed of', async () => {
    const putter = service().putMultipleStart()
    await putter.put(WITH_KEEP)
    const closing = putter.close()
    await putter[Symbol.asyncDispose]()
    expect((await closing).equals(WITH_KEEP.digest())).toBe(true)
    expect((await service().get(WITH_KEEP.digest()))?.equals(WITH_KEEP)).toBe(true)
  })

  it('refuses everything after close', async () => {
    const putter = service().putMultipleStart()
    await putter.put(A)
    await putter.close()
    await expect(putter.put(A)).rejects.toMatchObject({ code: 'closed' })
    await expect(putter.close()).rejects.toMatchObject({ code: 'closed' })
    await putter.abort()
    await putter[Symbol.asyncDispose]()
    expect((await service().get(A.digest()))?.equals(A)).toBe(true)
  })

  it('refuses everything after abort', async () => {
    const putter = service().putMultipleStart()
    await putter.put(WITH_KEEP)
    const reason = new Error('the source failed')
    await putter.abort(reason)
    await putter.abort()
    await expect(putter.put(A)).rejects.toMatchObject({ code: 'aborted', cause: reason })
    await expect(putter.close()).rejects.toMatchObject({ code: 'aborted', cause: reason })
    expect(await service().get(WITH_KEEP.digest())).toBeUndefined()
  })

  it('fails for good after a put that failed', async () => {
    await using putter = service().putMultipleStart()
    await putter.put(WITH_KEEP)
    await putter.put(B).catch(() => {})
    // What comes now would be right without the put before it.
    await putter.put(COMPLICATED).catch(() => {})
    await expect(putter.close()).rejects.toMatchObject({ code: 'order' })
    expect(await service().get(COMPLICATED.digest())).toBeUndefined()
  })

  it('uploads a closure again without harm, and another one after a failure', async () => {
    await upload(service(), A, B, D)
    await expect(upload(service(), A, BROKEN_PARENT)).rejects.toMatchObject({ code: 'size' })
    await upload(service(), A, B, D)
    expect(digestsOf(await closureOf(service(), D.digest()))).toHaveLength(3)
  })

  it('keeps the order of puts that nobody waited for', async () => {
    const closure = [distinctDirectory(0)]
    while (closure.length < 50)
      closure.push(distinctDirectory(closure.length, { child: closure.at(-1)!.toNode() }))
    await using putter = service().putMultipleStart()
    const puts = closure.map((directory) => putter.put(directory))
    const closing = putter.close()
    await Promise.all(puts)
    expect((await closing).equals(closure.at(-1)!.digest())).toBe(true)
    expect(await closureOf(service(), closure.at(-1)!.digest())).toHaveLength(50)
  })
}
