import { CastoreError } from '@neve/castore-services'
import { MemoryBlobService } from '@neve/castore-services/blob/memory'
import {
  BLOB_SERVICE,
  Composition,
  CompositionError,
  ConstructionFailedError,
  DIRECTORY_SERVICE,
  defaultRegistry,
  InstanceNotFoundError,
  Kind,
  RecursionError,
  Registry,
} from '@neve/castore-services/composition'
import { MemoryDirectoryService } from '@neve/castore-services/directory/memory'
import { describe, expect, it, vi } from 'vitest'
import {
  blobComposition,
  compositionOfFunctions,
  NotedBlobs,
  notedRegistry,
  rejection,
} from './composition-fixture.js'
import { deferred } from './deferred.js'

const BOX = new Kind<{ value: string }>({ name: 'box', table: 'boxes' })

describe('building', () => {
  it('04#1 02#17 gives everybody the same object, however many ask at once', async () => {
    const composition = blobComposition({ default: { type: 'memory' } })
    const [first, second] = await Promise.all([
      composition.build(BLOB_SERVICE, 'default'),
      composition.build(BLOB_SERVICE, 'default'),
    ])
    expect(first).toBeInstanceOf(MemoryBlobService)
    expect(second).toBe(first)
    expect(await composition.build(BLOB_SERVICE, 'default')).toBe(first)
  })

  it('builds only what is reachable', async () => {
    const log: string[] = []
    const composition = blobComposition(
      {
        default: { type: 'leaf' },
        other: { type: 'leaf' },
        dangling: { type: 'pair', left: 'x', right: 'y' },
      },
      log,
    )
    await composition.build(BLOB_SERVICE, 'default')
    expect(log).toEqual(['build default'])
    expect(composition.instances().map(({ name, state }) => `${name} ${state}`)).toEqual([
      'default built',
      'other unbuilt',
      'dangling unbuilt',
    ])
  })

  it('04#8 an unknown name is not found, and neither is one of another kind', async () => {
    const composition = blobComposition({ here: { type: 'memory' } })
    const unknown = await rejection(composition.build(BLOB_SERVICE, 'there'))
    expect(unknown).toBeInstanceOf(InstanceNotFoundError)
    expect(unknown).toMatchObject({ code: 'not-found', instance: 'there', message: 'store not found: there' })
    const other = await rejection(composition.build(DIRECTORY_SERVICE, 'here'))
    expect(other).toMatchObject({ code: 'not-found', instance: 'here', kind: 'directory' })
    expect(await rejection(composition.build(BLOB_SERVICE, 'memory:'))).toMatchObject({ code: 'not-found' })
  })

  it('04#9 a reference to a missing instance fails with its name, and says how one got there', async () => {
    const composition = blobComposition({
      default: { type: 'pair', left: 'middle', right: 'middle' },
      middle: { type: 'pair', left: 'leaf', right: 'missing' },
      leaf: { type: 'leaf' },
    })
    const error = await rejection(composition.build(BLOB_SERVICE, 'default'))
    expect(error).toBeInstanceOf(InstanceNotFoundError)
    expect(error).toMatchObject({
      instance: 'missing',
      path: ['blob:default', 'left', 'blob:middle', 'right', 'blob:missing'],
      message: 'store not found: missing (blob:default → left → blob:middle → right → blob:missing)',
    })
  })

  it('04#12 a diamond shares its leaf', async () => {
    const log: string[] = []
    const composition = blobComposition(
      {
        default: { type: 'pair', left: 'a', right: 'b' },
        a: { type: 'pair', left: 'leaf', right: 'leaf' },
        b: { type: 'pair', left: '&leaf', right: 'leaf' },
        leaf: { type: 'leaf' },
      },
      log,
    )
    const service = (await composition.build(BLOB_SERVICE, 'default')) as NotedBlobs
    expect(log.filter((line) => line === 'build leaf')).toHaveLength(1)
    const leaves = service.parts.flatMap((part) => (part as NotedBlobs).parts)
    expect(leaves).toHaveLength(4)
    expect(new Set(leaves).size).toBe(1)
  })

  it('04#11 instances of one name in two kinds may depend on each other', async () => {
    const composition = compositionOfFunctions(DIRECTORY_SERVICE, {
      async default(_, context) {
        const blobs = await context.resolve(BLOB_SERVICE, 'default')
        return Object.assign(new MemoryDirectoryService(), { blobs })
      },
    })
    composition.extend(BLOB_SERVICE, { default: { build: async () => new MemoryBlobService() } })
    const directories = await composition.build(DIRECTORY_SERVICE, 'default')
    expect(directories).toHaveProperty('blobs', await composition.build(BLOB_SERVICE, 'default'))
  })

  it('04#13 a failure is kept: the same error again, and the builder ran once', async () => {
    const cause = new Error('no disk')
    const build = vi.fn(async () => {
      throw cause
    })
    const composition = compositionOfFunctions(BOX, { x: build })
    const error = await rejection(composition.build(BOX, 'x'))
    expect(error).toBeInstanceOf(ConstructionFailedError)
    expect(error).toMatchObject({
      code: 'failed',
      instance: 'x',
      cause,
      message: 'instantiation of service x failed: no disk',
    })
    expect(await rejection(composition.build(BOX, 'x'))).toBe(error)
    expect(build).toHaveBeenCalledTimes(1)
  })

  it('W5 a failure deep down is passed up unchanged, with the way to it', async () => {
    const composition = compositionOfFunctions(BOX, {
      top: (_, context) => context.resolve(BOX, 'middle', 'far'),
      middle: (_, context) => context.resolve(BOX, 'deep', 'near'),
      async deep() {
        throw new Error('no disk')
      },
    })
    const [top, deep] = await Promise.all([
      rejection(composition.build(BOX, 'top')),
      rejection(composition.build(BOX, 'deep')),
    ])
    expect(top).toBe(deep)
    const again = compositionOfFunctions(BOX, {
      top: (_, context) => context.resolve(BOX, 'deep', 'far'),
      async deep() {
        throw new Error('no disk')
      },
    })
    expect(await rejection(again.build(BOX, 'top'))).toMatchObject({
      instance: 'deep',
      message: 'instantiation of service deep failed: no disk (box:top → far → box:deep)',
    })
  })

  it('waits for all operands, and reports the first that failed in the order of the keys', async () => {
    const slow = deferred<void>()
    const composition = compositionOfFunctions(BOX, {
      async default(_, context) {
        await context.resolveAll(BOX, { near: 'slow', far: 'fast' })
        return { value: '' }
      },
      async slow() {
        await slow.promise
        throw new Error('slow')
      },
      async fast() {
        slow.resolve()
        throw new Error('fast')
      },
    })
    expect(await rejection(composition.build(BOX, 'default'))).toMatchObject({ instance: 'slow' })
  })

  it('gives the builder its name', async () => {
    const composition = compositionOfFunctions(BOX, {
      async a(name, context) {
        return { value: `${name} ${context.instanceName}` }
      },
    })
    expect(await composition.build(BOX, 'a')).toEqual({ value: 'a a' })
  })
})

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

describe('W6 extending', () => {
  it('refuses a name that is there, and adds nothing then', async () => {
    const composition = blobComposition({ a: { type: 'memory' } })
    const builder = defaultRegistry().parse(BLOB_SERVICE, { type: 'memory' })
    expect(() => composition.extend(BLOB_SERVICE, { b: builder, a: builder })).toThrow(
      'there is an instance blob:a already',
    )
    expect(await rejection(composition.build(BLOB_SERVICE, 'b'))).toMatchObject({ code: 'not-found' })
  })

  it('replaces what is not built when it is told to', async () => {
    const composition = compositionOfFunctions(BOX, {
      top: (_, context) => context.resolve(BOX, 'a'),
      a: async () => Promise.reject(new Error('broken')),
    })
    await rejection(composition.build(BOX, 'top'))
    composition.extend(BOX, { a: { build: async () => ({ value: 'new' }) } }, { override: true })
    expect(await composition.build(BOX, 'top')).toEqual({ value: 'new' })
    expect(() =>
      composition.extend(BOX, { a: { build: async () => ({ value: 'newer' }) } }, { override: true }),
    ).toThrow('instance box:a is built, it cannot be replaced')
  })

  it.each(['', 'a b', '&a', 'a:b', 'ä', 'a/b'])('refuses the name %j', (name) => {
    const composition = new Composition({ registry: new Registry() })
    const extend = () => composition.extend(BOX, { [name]: { build: async () => ({ value: '' }) } })
    expect(extend).toThrow(CompositionError)
    expect(extend).toThrow('invalid instance name')
  })

  it.each(['__proto__', 'constructor', '..', 'A.b_c-9'])('takes the name %j', async (name) => {
    const composition = new Composition({ registry: new Registry() })
    composition.extend(BOX, new Map([[name, { build: async () => ({ value: name }) }]]))
    expect(await composition.build(BOX, name)).toEqual({ value: name })
    expect(await rejection(composition.build(BOX, 'toString'))).toMatchObject({ code: 'not-found' })
  })
})

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

describe('section 8: references', () => {
  it('addresses make an instance each, and names are shared', async () => {
    const composition = blobComposition({
      default: { type: 'pair', left: 'leaf:', right: 'leaf:' },
      local: { type: 'leaf' },
    })
    const service = (await composition.build(BLOB_SERVICE, 'default')) as NotedBlobs
    const [left, right] = service.parts as [NotedBlobs, NotedBlobs]
    expect(left).not.toBe(right)
    expect([left.instance, right.instance]).toEqual(['default.left', 'default.right'])
    const local = await composition.build(BLOB_SERVICE, 'local')
    expect(await composition.open(BLOB_SERVICE, '&local')).toBe(local)
    expect(await composition.open(BLOB_SERVICE, 'local')).toBe(local)
    const nested = (await composition.open(BLOB_SERVICE, 'pair:?left=%26local&right=leaf:')) as NotedBlobs
    expect(nested.instance).toBe('anonymous')
    expect(nested.parts[0]).toBe(local)
    expect((nested.parts[1] as NotedBlobs).instance).toBe('anonymous.right')
  })

  it('an address in an address refuses names without &', async () => {
    const composition = blobComposition({ local: { type: 'leaf' } })
    expect(await rejection(composition.open(BLOB_SERVICE, 'pair:?left=local&right=leaf:'))).toMatchObject({
      code: 'invalid-config',
      message: 'pair:?…: left: the name of an instance begins with & in an address: %26name',
    })
  })
})

describe('W7 validate', () => {
  it('finds references that lead nowhere, circles and what nobody uses, and builds nothing', () => {
    const log: string[] = []
    const composition = blobComposition(
      {
        default: { type: 'pair', left: 'a', right: 'pair:?left=%26nothing&right=%26a' },
        a: { type: 'pair', left: 'b', right: 'b' },
        b: { type: 'pair', left: 'a', right: 'leaf:' },
        alone: { type: 'leaf' },
      },
      log,
    )
    const problems = composition.validate()
    expect(problems.map(({ severity, message }) => `${severity}: ${message}`)).toEqual([
      'error: store not found: nothing (blob:default → right.left → blob:nothing)',
      'error: recursion not allowed (blob:a → left → blob:b → left → blob:a)',
      'warning: blob:alone is not used by blob:default',
    ])
    expect(problems.map(({ code, instance }) => [code, instance])).toContainEqual(['unreachable', 'alone'])
    expect(log).toEqual([])
  })

  it('takes other entrypoints, and misses those that are not there', () => {
    const composition = blobComposition({ a: { type: 'leaf' }, b: { type: 'leaf' } })
    expect(composition.validate()).toEqual([])
    const entrypoints = [
      { kind: BLOB_SERVICE, name: 'a' },
      { kind: DIRECTORY_SERVICE, name: 'a' },
    ]
    expect(composition.validate({ entrypoints }).map(({ message }) => message)).toEqual([
      'store not found: a (directory:a)',
      'blob:b is not used by blob:a, directory:a',
    ])
  })

  it('finds circles in a chain that is longer than the stack of calls', () => {
    const count = 20_000
    const configs = Object.fromEntries(
      Array.from({ length: count }, (_, index) => [
        `n${index}`,
        { type: 'pair', left: `n${(index + 1) % count}`, right: 'n0' },
      ]),
    )
    const [problem, ...others] = blobComposition(configs).validate()
    expect(problem).toMatchObject({ code: 'recursion' })
    expect(others).toEqual([])
  })
})
