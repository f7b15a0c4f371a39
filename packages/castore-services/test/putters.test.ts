import { B3Digest, type Directory } from '@neve/castore-model'
import { GraphPutter, SimplePutter, type ValidatedGraph } from '@neve/castore-services'
import { describe, expect, it } from 'vitest'
import { A, B, C, D, digestsOf, WITH_KEEP } from '../src/contract/directory-fixtures.js'
import { deferred, settled } from './deferred.js'

describe('SimplePutter', () => {
  it('puts each directory once, leaves first, one at a time, and only at close', async () => {
    const puts: Directory[] = []
    let running = 0
    const putter = new SimplePutter({
      put: async (directory) => {
        expect(++running).toBe(1)
        await settled()
        running -= 1
        puts.push(directory)
        return directory.digest()
      },
    })
    for (const directory of [A, B, A, B, D]) await putter.put(directory)
    expect(puts).toEqual([])
    expect((await putter.close()).equals(D.digest())).toBe(true)
    expect(digestsOf(puts)).toEqual(digestsOf([A, B, D]))
  })

  it('does not believe a backend that gives another digest', async () => {
    const putter = new SimplePutter({ put: async () => B3Digest.EMPTY })
    await putter.put(WITH_KEEP)
    await expect(putter.close()).rejects.toMatchObject({
      code: 'storage',
      message: `got unexpected digest from backend during put: expected ${WITH_KEEP.digest()}, got ${B3Digest.EMPTY}`,
    })
  })

  it('puts nothing of a closure that is refused', async () => {
    let puts = 0
    const putter = new SimplePutter({
      put: async (directory) => {
        puts += 1
        return directory.digest()
      },
    })
    for (const directory of [A, C, B]) await putter.put(directory)
    await expect(putter.close()).rejects.toMatchObject({ code: 'disconnected' })
    await expect(putter.close()).rejects.toMatchObject({ code: 'closed' })
    expect(puts).toBe(0)
  })

  it('stops between puts when it is cancelled', async () => {
    const controller = new AbortController()
    const reason = new Error('enough')
    let puts = 0
    const putter = new SimplePutter({
      put: async (directory) => {
        puts += 1
        controller.abort(reason)
        return directory.digest()
      },
    })
    for (const directory of [A, B, D]) await putter.put(directory)
    await expect(putter.close({ signal: controller.signal })).rejects.toBe(reason)
    expect(puts).toBe(1)
  })
})

describe('GraphPutter', () => {
  it('hands over a closure that was checked', async () => {
    const graphs: ValidatedGraph[] = []
    const putter = new GraphPutter(async (graph) => {
      graphs.push(graph)
    })
    for (const directory of [A, B, D]) await putter.put(directory)
    await putter.close()
    expect(graphs.map((graph) => graph.root)).toEqual([D])
    expect(graphs[0]?.size).toBe(3)
  })

  it('stops a commit that runs when it is aborted, and waits for it', async () => {
    const gate = deferred<void>()
    let stopped = false
    const putter = new GraphPutter((_graph, signal) => {
      signal.addEventListener('abort', () => {
        stopped = true
        gate.reject(signal.reason)
      })
      return gate.promise
    })
    await putter.put(A)
    const reason = new Error('enough')
    const closing = putter.close()
    const outcome = expect(closing).rejects.toBe(reason)
    await putter.abort(reason)
    expect(stopped).toBe(true)
    await outcome
  })

  it('passes on what the backend throws', async () => {
    const failure = new Error('disk full')
    const putter = new GraphPutter(() => Promise.reject(failure))
    await putter.put(A)
    await expect(putter.close()).rejects.toBe(failure)
    await expect(putter.put(A)).rejects.toMatchObject({ code: 'closed' })
  })
})
