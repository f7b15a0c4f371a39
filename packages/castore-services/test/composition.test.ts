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
  Registry,
} from '@neve/castore-services/composition'
import { MemoryDirectoryService } from '@neve/castore-services/directory/memory'
import { describe, expect, it, vi } from 'vitest'
import { blobComposition, compositionOfFunctions, type NotedBlobs, rejection } from './composition-fixture.js'
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
