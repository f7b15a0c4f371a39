import { BLOB_SERVICE, Composition, Kind } from '@neve/castore-services/composition'
import { describe, expect, it, vi } from 'vitest'
import {
  blobComposition,
  compositionOfFunctions,
  NotedBlobs,
  notedRegistry,
  rejection,
} from './composition-fixture.js'
import { deferred } from './deferred.js'

const _BOX = new Kind<{ value: string }>({ name: 'box', table: 'boxes' })

describe('W8 closing', () => {
  it('closes each service once, those that use it first, and only what was built', async () => {
    const log: string[] = []
    const composition = blobComposition(
      {
        unused: { type: 'leaf' },
        leaf: { type: 'leaf' },
        a: { type: 'pair', left: 'leaf', right: 'leaf' },
        b: { type: 'pair', left: 'leaf', right: 'leaf:' },
        default: { type: 'pair', left: 'a', right: 'b' },
      },
      log,
    )
    await composition.build(BLOB_SERVICE, 'default')
    log.length = 0
    await Promise.all([composition.close(), composition[Symbol.asyncDispose]()])
    expect([...log].sort()).toEqual(['close a', 'close b', 'close b.right', 'close default', 'close leaf'])
    expect(log[0]).toBe('close default')
    expect(log.indexOf('close leaf')).toBeGreaterThan(log.indexOf('close a'))
    expect(log.indexOf('close leaf')).toBeGreaterThan(log.indexOf('close b'))
    expect(log.indexOf('close b.right')).toBeGreaterThan(log.indexOf('close b'))
  })

  it('closes what a builder opened, the last one first, after the service', async () => {
    const log: string[] = []
    const kind = new Kind<string>({ name: 'text', table: 'texts', close: (text) => void log.push(text) })
    const composition = compositionOfFunctions(kind, {
      async a(_, context) {
        context.onClose(() => void log.push('first'))
        context.onClose(() => void log.push('second'))
        return 'service'
      },
    })
    await composition.build(kind, 'a')
    await composition.close()
    expect(log).toEqual(['service', 'second', 'first'])
  })

  it('a build that fails closes what it opened, and what nobody else can name', async () => {
    const log: string[] = []
    const registry = notedRegistry(log)
    const composition = new Composition({ registry })
    composition.extend(BLOB_SERVICE, {
      a: {
        async build(_, context) {
          context.onClose(() => void log.push('close channel'))
          await context.resolve(BLOB_SERVICE, 'pair:?left=leaf:&right=leaf:', 'near')
          throw new Error('broken')
        },
      },
    })
    await rejection(composition.build(BLOB_SERVICE, 'a'))
    expect([...log].sort()).toEqual([
      'build a.near',
      'build a.near.left',
      'build a.near.right',
      'close a.near',
      'close a.near.left',
      'close a.near.right',
      'close channel',
    ])
    expect(log.indexOf('close a.near')).toBeLessThan(log.indexOf('close a.near.left'))
    const before = [...log]
    await composition.close()
    expect(log).toEqual(before)
  })

  it('goes on after a failure, and reports it', async () => {
    const closed: string[] = []
    const kind = new Kind<string>({
      name: 'text',
      table: 'texts',
      close(text) {
        closed.push(text)
        if (text !== 'b') throw new Error(`cannot close ${text}`)
      },
    })
    const composition = compositionOfFunctions(kind, {
      a: async () => 'a',
      b: async () => 'b',
      c: async () => 'c',
    })
    for (const name of ['a', 'b', 'c']) await composition.build(kind, name)
    const error = await rejection(composition.close())
    expect(error).toMatchObject({
      code: 'close-failed',
      errors: [{ message: 'cannot close a' }, { message: 'cannot close c' }],
    })
    expect(closed).toEqual(['a', 'b', 'c'])
    expect(await rejection(composition.close())).toBe(error)
  })

  it('ends builds that run, and closes what they give nevertheless', async () => {
    const log: string[] = []
    const gate = deferred<void>()
    const composition = compositionOfFunctions(BLOB_SERVICE, {
      async stubborn() {
        await gate.promise
        return new NotedBlobs('stubborn', [], log)
      },
      polite: (_, { signal }) =>
        new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
    })
    const builds = ['stubborn', 'polite'].map((name) => rejection(composition.build(BLOB_SERVICE, name)))
    await vi.waitFor(() =>
      expect(composition.instances().every(({ state }) => state === 'building')).toBe(true),
    )
    const closing = composition.close()
    gate.resolve()
    for (const error of await Promise.all(builds)) expect(error).toMatchObject({ code: 'closed' })
    await closing
    expect(log).toEqual(['build stubborn', 'close stubborn'])
  })

  it('leaves nothing to ask for', async () => {
    const composition = blobComposition({ a: { type: 'memory' } })
    await composition.build(BLOB_SERVICE, 'a')
    await composition.close()
    expect(await rejection(composition.build(BLOB_SERVICE, 'a'))).toMatchObject({ code: 'closed' })
    expect(await rejection(composition.open(BLOB_SERVICE, 'memory:'))).toMatchObject({ code: 'closed' })
    expect(() => composition.extend(BLOB_SERVICE, {})).toThrow('the composition is already closed')
  })
})
