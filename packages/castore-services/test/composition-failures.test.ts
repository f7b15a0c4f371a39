import { CastoreError } from '@neve/castore-services'
import { BLOB_SERVICE, InstanceNotFoundError, Kind, RecursionError } from '@neve/castore-services/composition'
import { describe, expect, it } from 'vitest'
import { blobComposition, compositionOfFunctions, rejection } from './composition-fixture.js'
import { deferred } from './deferred.js'

const BOX = new Kind<{ value: string }>({ name: 'box', table: 'boxes' })

describe('circles', () => {
  const pair = (left: string, right = left) => ({ type: 'pair', left, right })

  it('04#10 a reference to itself', async () => {
    const composition = blobComposition({ default: pair('default') })
    const error = await rejection(composition.build(BLOB_SERVICE, 'default'))
    expect(error).toBeInstanceOf(RecursionError)
    expect(error).toMatchObject({
      names: ['default'],
      message: 'recursion not allowed ["default"] (blob:default → left → blob:default)',
    })
  })

  it('04#2 of two', async () => {
    const composition = blobComposition({ default: pair('other'), other: pair('default') })
    const error = await rejection(composition.build(BLOB_SERVICE, 'default'))
    expect(error).toMatchObject({
      code: 'recursion',
      names: ['default', 'other'],
      path: ['blob:default', 'left', 'blob:other', 'left', 'blob:default'],
    })
  })

  it('through an address', async () => {
    const composition = blobComposition({ default: pair('pair:?left=%26default&right=leaf:') })
    expect(await rejection(composition.build(BLOB_SERVICE, 'default'))).toMatchObject({
      names: ['default', 'default.left'],
      path: ['blob:default', 'left', 'blob:default.left', 'left', 'blob:default'],
    })
  })

  it('04#18 W1 both members asked for at once', async () => {
    const composition = blobComposition({ a: pair('b'), b: pair('a') })
    const errors = await Promise.all([
      rejection(composition.build(BLOB_SERVICE, 'a')),
      rejection(composition.build(BLOB_SERVICE, 'b')),
    ])
    for (const error of errors) expect(error).toBeInstanceOf(RecursionError)
  })

  it.each([2, 3, 5])('W1 %i members that are under way before they ask for each other', async (count) => {
    const names = Array.from({ length: count }, (_, index) => `n${index}`)
    const started: string[] = []
    const all = deferred<void>()
    const composition = compositionOfFunctions(
      BOX,
      Object.fromEntries(
        names.map((name, index) => [
          name,
          async (_: string, context) => {
            started.push(name)
            if (started.length === count) all.resolve()
            await all.promise
            return context.resolve(BOX, names[(index + 1) % count]!, 'next')
          },
        ]),
      ),
    )
    const errors = await Promise.all(names.map((name) => rejection(composition.build(BOX, name))))
    expect(new Set(errors).size).toBe(1)
    expect(errors[0]).toBeInstanceOf(RecursionError)
    const { names: around, path } = errors[0] as RecursionError
    expect([...around].sort()).toEqual(names)
    expect(path[0]).toBe(path.at(-1))
  })

  it('W1 a long chain is none', async () => {
    const names = Array.from({ length: 500 }, (_, index) => `n${index}`)
    const composition = compositionOfFunctions(
      BOX,
      Object.fromEntries(
        names.map((name, index) => [
          name,
          async (_: string, context) =>
            index === 499 ? { value: 'end' } : context.resolve(BOX, `n${index + 1}`),
        ]),
      ),
    )
    const built = await Promise.all(names.map((name) => composition.build(BOX, name)))
    expect(new Set(built)).toEqual(new Set([{ value: 'end' }]))
  })
})

describe('W2 cancellation', () => {
  it('of one caller ends neither the build nor the others', async () => {
    const gate = deferred<void>()
    const composition = compositionOfFunctions(BOX, {
      async a() {
        await gate.promise
        return { value: 'a' }
      },
    })
    const controller = new AbortController()
    const first = rejection(composition.build(BOX, 'a', { signal: controller.signal }))
    const second = composition.build(BOX, 'a')
    const reason = new Error('enough')
    controller.abort(reason)
    expect(await first).toBe(reason)
    gate.resolve()
    expect(await second).toEqual({ value: 'a' })
    expect(await composition.build(BOX, 'a')).toBe(await second)
    expect(await rejection(composition.build(BOX, 'a', { signal: controller.signal }))).toBe(reason)
  })

  it('of the only caller leaves the failure for the next', async () => {
    const gate = deferred<void>()
    const composition = compositionOfFunctions(BOX, {
      async a() {
        await gate.promise
        throw new Error('broken')
      },
    })
    const controller = new AbortController()
    const first = rejection(composition.build(BOX, 'a', { signal: controller.signal }))
    controller.abort()
    await first
    gate.resolve()
    expect(await rejection(composition.build(BOX, 'a'))).toMatchObject({ code: 'failed' })
  })
})

describe('W3 failures that may pass', () => {
  const unavailable = () => new CastoreError('unavailable', 'connection refused')

  it('are not kept, nor are those that came of them', async () => {
    let failures = 1
    const builds: string[] = []
    const composition = compositionOfFunctions(BOX, {
      async top(_, context) {
        builds.push('top')
        return context.resolve(BOX, 'peer')
      },
      async peer() {
        builds.push('peer')
        if (failures-- > 0) throw unavailable()
        return { value: 'peer' }
      },
    })
    expect(await rejection(composition.build(BOX, 'top'))).toMatchObject({ code: 'failed', instance: 'peer' })
    expect(await composition.build(BOX, 'top')).toEqual({ value: 'peer' })
    expect(builds).toEqual(['top', 'peer', 'top', 'peer'])
  })

  it('are tried again as often as the policy says, the inner instance alone', async () => {
    const delays: number[] = []
    const builds: string[] = []
    const retry = { attempts: 3, delay: (attempt: number) => delays.push(attempt) && 0 }
    const composition = compositionOfFunctions(
      BOX,
      {
        async top(_, context) {
          builds.push('top')
          return context.resolve(BOX, 'peer')
        },
        async peer() {
          builds.push('peer')
          throw unavailable()
        },
      },
      { retry },
    )
    expect(await rejection(composition.build(BOX, 'top'))).toMatchObject({ instance: 'peer' })
    expect(builds).toEqual(['top', 'peer', 'peer', 'peer'])
    expect(delays).toEqual([1, 2])
  })

  it('are what the policy says', async () => {
    let builds = 0
    const failing = {
      async a(): Promise<{ value: string }> {
        builds += 1
        throw new Error(`number ${builds}`)
      },
    }
    const composition = compositionOfFunctions(BOX, failing, { retry: { isTransient: () => true } })
    await rejection(composition.build(BOX, 'a'))
    expect(await rejection(composition.build(BOX, 'a'))).toMatchObject({ cause: { message: 'number 2' } })
  })

  it('reset forgets a failure, those it came of, and those that came of it', async () => {
    let broken = true
    const composition = compositionOfFunctions(BOX, {
      top: (_, context) => context.resolve(BOX, 'middle'),
      middle: (_, context) => context.resolve(BOX, 'leaf'),
      async leaf() {
        if (broken) throw new Error('broken')
        return { value: 'leaf' }
      },
    })
    await rejection(composition.build(BOX, 'top'))
    broken = false
    expect(await rejection(composition.build(BOX, 'leaf'))).toMatchObject({ code: 'failed' })
    composition.reset(BOX, 'middle')
    expect(await composition.build(BOX, 'top')).toEqual({ value: 'leaf' })
    expect(() => composition.reset(BOX, 'top')).toThrow('instance box:top is built, it cannot be reset')
    expect(() => composition.reset(BOX, 'nothing')).toThrow(InstanceNotFoundError)
  })
})
