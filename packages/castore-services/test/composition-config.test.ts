import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MemoryBlobService } from '@neve/castore-services/blob/memory'
import {
  addDefaultServices,
  BLOB_SERVICE,
  Composition,
  type CompositionError,
  ConfigError,
  compositionJsonSchema,
  compositionOf,
  DIRECTORY_SERVICE,
  defaultRegistry,
  duration,
  Kind,
  parseComposition,
  Registry,
  readCompositionFile,
  UnknownTypeError,
} from '@neve/castore-services/composition'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { notedRegistry, rejection } from './composition-fixture.js'

/** What a function throws. */
function thrown(call: () => unknown): unknown {
  try {
    call()
  } catch (error) {
    return error
  }
  throw new Error('expected it to throw')
}

const DOCUMENTED = {
  blobstore1: { type: 'memory' },
  blobstore2: { type: 'memory' },
  default: { type: 'combined', local: 'blobstore1', remote: 'blobstore2' },
}

describe('registry', () => {
  it('04#3 composes the documented example', async () => {
    const registry = defaultRegistry()
    await using composition = new Composition({ registry })
    composition.extend(BLOB_SERVICE, registry.parseTable(BLOB_SERVICE, DOCUMENTED))
    const combined = await composition.build(BLOB_SERVICE, 'default')
    const remote = await composition.build(BLOB_SERVICE, 'blobstore2')
    const local = await composition.build(BLOB_SERVICE, 'blobstore1')
    const far = await remote.put(new Uint8Array([1]))
    expect(await combined.get(far)).toEqual(new Uint8Array([1]))
    const near = await combined.put(new Uint8Array([2]))
    expect(await local.has(near)).toBe(true)
    expect(await remote.has(near)).toBe(false)
  })

  it('04#2 02#18 refuses a circle of combined services', async () => {
    const composition = compositionOf({
      blobservices: {
        default: { type: 'combined', local: 'other', remote: 'other' },
        other: { type: 'combined', local: 'default', remote: 'default' },
      },
    })
    expect(await rejection(composition.build(BLOB_SERVICE, 'default'))).toMatchObject({
      code: 'recursion',
      names: ['default', 'other'],
    })
  })

  it('04#4 04#5 takes types of somebody else beside its own', async () => {
    const registry = new Registry()
    addDefaultServices(registry)
    registry.register(BLOB_SERVICE, {
      tag: 'myblobservicetype',
      schema: z.object({ greeting: z.string() }),
      build: ({ greeting }) => Object.assign(new MemoryBlobService(), { greeting }),
    })
    const composition = compositionOf(
      {
        blobservices: { mine: { greeting: 'hello', type: 'myblobservicetype' }, memory: { type: 'memory' } },
      },
      { registry },
    )
    expect(await composition.build(BLOB_SERVICE, 'mine')).toHaveProperty('greeting', 'hello')
    expect(await composition.build(BLOB_SERVICE, 'memory')).toBeInstanceOf(MemoryBlobService)
    expect(thrown(() => defaultRegistry().parse(BLOB_SERVICE, { type: 'myblobservicetype' }))).toBeInstanceOf(
      UnknownTypeError,
    )
  })

  it('refuses a key that the schema of somebody else would drop', () => {
    const registry = new Registry()
    registry.register(BLOB_SERVICE, {
      tag: 'open',
      schema: z.object({}),
      build: () => new MemoryBlobService(),
    })
    expect(() => registry.parse(BLOB_SERVICE, { type: 'open', x: 1 })).toThrow("unknown key 'x'")
  })

  it('W6 refuses a second implementation of a tag, unless it is told to take it', async () => {
    const registry = defaultRegistry()
    const other = { tag: 'memory', schema: z.object({ x: z.number() }), build: () => new MemoryBlobService() }
    expect(thrown(() => registry.register(BLOB_SERVICE, other))).toMatchObject({ code: 'duplicate' })
    registry.register(BLOB_SERVICE, other, { override: true })
    expect(() => registry.parse(BLOB_SERVICE, { type: 'memory' })).toThrow("required key 'x' is missing")
    expect(registry.parse(DIRECTORY_SERVICE, { type: 'memory' }).tag).toBe('memory')
    expect(thrown(() => addDefaultServices(registry))).toMatchObject({ code: 'duplicate' })
  })

  it('takes kinds of somebody else, with a table of their own', async () => {
    interface Clock {
      now(): number
    }
    const CLOCK = new Kind<Clock>({ name: 'clock', table: 'clocks' })
    const registry = defaultRegistry()
    registry.register(CLOCK, {
      tag: 'fixed',
      schema: z.object({ at: z.number() }),
      build: ({ at }) => ({ now: () => at }),
    })
    const composition = parseComposition('[clocks.default]\ntype = "fixed"\nat = 7\n', { registry })
    expect((await composition.build(CLOCK, 'default')).now()).toBe(7)
    const taken = new Kind<Clock>({ name: 'other', table: 'clocks' })
    const type = { tag: 'x', schema: z.object({}), build: () => ({ now: () => 0 }) }
    expect(thrown(() => registry.register(taken, type))).toMatchObject({ code: 'duplicate' })
    expect(() => new Kind({ name: 'A b', table: 'x' })).toThrow(TypeError)
  })

  it.each(['A', '', 'a b', 'a:b', 'a+b', '1a'])('refuses the tag %j', (tag) => {
    const type = { tag, schema: z.object({}), build: () => new MemoryBlobService() }
    expect(() => new Registry().register(BLOB_SERVICE, type)).toThrow(TypeError)
  })
})

describe('04#14 refused configurations', () => {
  it.each<[unknown, string]>([
    [{ type: 'nothing' }, 'blobservices.a.type: Unknown type: nothing, expected one of memory, '],
    [{}, "blobservices.a.type: required key 'type' is missing"],
    [{ type: 7 }, 'blobservices.a.type: expected text'],
    [[], "blobservices.a: expected a table with the key 'type'"],
    ['memory', "blobservices.a: expected a table with the key 'type'"],
    [null, "blobservices.a: expected a table with the key 'type'"],
    [{ type: 'memory', x: 1 }, "blobservices.a.x: unknown key 'x', expected none"],
    [
      { type: 'combined', local: 'b' },
      "blobservices.a.remote: required key 'remote' is missing: expected the name of",
    ],
    [
      { type: 'combined', local: 'b', remote: 'c', mode: '' },
      "blobservices.a.mode: unknown key 'mode', expected one of local, remote",
    ],
    [
      { type: 'combined', local: 7, remote: 'c' },
      'blobservices.a.local: expected the name of an instance, &name',
    ],
    [
      { type: 'combined', local: 'b c', remote: 'c' },
      'blobservices.a.local: expected the name of an instance',
    ],
    [
      { type: 'combined', local: 'b', near: 'b', remote: 'c' },
      "blobservices.a.near: is another spelling of 'local'",
    ],
    [
      { type: 'combined', local: 'b', remote: 'memory://x' },
      'memory://x: blobservices.a.remote: host may not be set',
    ],
    [
      { type: 'combined', local: 'b', remote: 'bogus:' },
      'bogus:: blobservices.a.remote: Unknown type: bogus',
    ],
    [{ type: 'cache', near: 'b', far: 'c', writes: 'never' }, 'blobservices.a.writes: '],
    [{ type: 'mirror', stores: [] }, 'blobservices.a.stores: '],
    [{ type: 'mirror', stores: 'b' }, 'blobservices.a.stores: expected array, got other text'],
    [{ type: 'mirror', stores: ['b', '&'] }, 'blobservices.a.stores[1]: expected the name of an instance'],
    [{ type: 'embedded' }, "blobservices.a.path: required key 'path' is missing"],
    [{ type: 'embedded', path: 'relative' }, 'blobservices.a.path: expected the absolute path of a folder'],
    [
      { type: 'embedded', path: '/x', read_only: 'yes' },
      'blobservices.a.read_only: expected boolean, got other text',
    ],
    [{ type: 'sled' }, "blobservices.a.is_temporary: required key 'is_temporary' is missing"],
    [{ type: 'sled', is_temporary: 1 }, 'blobservices.a.is_temporary: expected boolean, got a number'],
  ])('%j', (config, message) => {
    const error = thrown(() => defaultRegistry().parseTable(BLOB_SERVICE, { a: config })) as ConfigError
    expect(error).toBeInstanceOf(ConfigError)
    expect(error.message).toContain(message)
    expect(error.location).toMatchObject({ table: 'blobservices', instance: 'a' })
  })

  it.each<[unknown, string]>([
    [null, 'expected a table for each kind of service'],
    [[], 'expected a table for each kind of service'],
    [{ blobservice: {} }, "unknown table 'blobservice', expected one of blobservices, directoryservices"],
    [{ blobservices: [] }, 'blobservices: expected a table of instances'],
    [{ blobservices: { 'a b': { type: 'memory' } } }, 'invalid instance name "a b"'],
  ])('%j', (data, message) => {
    expect(() => compositionOf(data)).toThrow(message)
  })

  it('throws only errors of its own, whatever the data', () => {
    const values = fc.oneof(
      fc.jsonValue(),
      fc.record({
        type: fc.constantFrom('memory', 'combined', 'mirror', 'embedded', 'sled', 'x'),
        near: fc.jsonValue(),
      }),
    )
    fc.assert(
      fc.property(
        fc.dictionary(fc.string(), values),
        fc.constantFrom('blobservices', 'directoryservices', 'x'),
        (table, name) => {
          try {
            compositionOf({ [name]: table })
          } catch (error) {
            expect(error).toBeInstanceOf(ConfigError)
          }
        },
      ),
    )
  })

  it('the order of keys, and spellings, do not matter', async () => {
    const composition = compositionOf({
      blobservices: { default: { far: 'b', near: '&b', type: 'combined' }, b: { type: 'memory' } },
    })
    expect(await composition.build(BLOB_SERVICE, 'default')).toBeDefined()
  })
})

describe('04#15 databases of the reference implementation', () => {
  it.each([
    { type: 'sled', is_temporary: true, path: '/x' },
    { type: 'sled', is_temporary: false },
    { type: 'redb', is_temporary: true, path: '/x' },
    { type: 'redb', is_temporary: false },
    { type: 'redb', is_temporary: false, path: '/var/lib/tvix-store/directories.redb' },
    { type: 'sled', is_temporary: true },
  ])('%j is read, but cannot be built', async (config) => {
    const composition = compositionOf({ directoryservices: { a: config } })
    const error = (await rejection(composition.build(DIRECTORY_SERVICE, 'a'))) as CompositionError
    expect(error).toMatchObject({ code: 'failed', cause: { code: 'unsupported' } })
    expect(error.message).toContain('write embedded:/path/to/folder')
  })
})

describe('TOML', () => {
  const TEXT = `# stores
[blobservices.default]
type = "combined"
local = "near"
remote = "memory:"

[blobservices.near]
type = "memory"

[directoryservices]
default = { type = "memory" }
`

  it('reads the documented layout', async () => {
    await using composition = parseComposition(TEXT)
    expect(composition.instances()).toEqual([
      { kind: 'blob', name: 'default', type: 'combined', state: 'unbuilt' },
      { kind: 'blob', name: 'near', type: 'memory', state: 'unbuilt' },
      { kind: 'directory', name: 'default', type: 'memory', state: 'unbuilt' },
    ])
    expect(composition.validate()).toEqual([])
    expect(await composition.build(BLOB_SERVICE, 'default')).toBeDefined()
  })

  it.each<[string, string]>([
    [TEXT.replace('type = "memory"', 'type = "memory"\nx = 1'), 's.toml:9: blobservices.near.x: unknown key'],
    [TEXT.replace('local = "near"', ''), 's.toml:2: blobservices.default.local: required key'],
    [
      TEXT.replace('"memory:"', '"memory://x"'),
      's.toml:5: memory://x: blobservices.default.remote: host may not',
    ],
    [TEXT.replace('"combined"', '"combind"'), 's.toml:3: blobservices.default.type: Unknown type: combind'],
    [
      TEXT.replace('{ type = "memory" }', '{ type = "memory", y = 1 }'),
      's.toml:11: directoryservices.default.y: unknown',
    ],
    [
      TEXT.replace('[directoryservices]', '[dirservices]'),
      "s.toml:10: dirservices: unknown table 'dirservices'",
    ],
    ['[blobservices."a b"]\ntype = "memory"', 's.toml:1: blobservices.a b: invalid instance name'],
    ['blobservices.a.type = "memory"\nblobservices.a.z = 1', 's.toml:2: blobservices.a.z: unknown key'],
    [
      '[blobservices.a]\ntype = """\n[blobservices.a]\nx = 1\n"""\n',
      's.toml:2: blobservices.a.type: Unknown type',
    ],
    ['[blobservices.a\n', 's.toml:1: invalid TOML document: '],
    ['[blobservices.a]\n[blobservices.a]', 's.toml:2: invalid TOML document: trying to redefine'],
    ['blobservices = 1', 's.toml:1: blobservices: expected a table of instances'],
  ])('refuses %j', (text, message) => {
    const error = thrown(() => parseComposition(text, { file: 's.toml' })) as ConfigError
    expect(error).toBeInstanceOf(ConfigError)
    expect(error.message).toContain(message)
    expect(error.location.file).toBe('s.toml')
  })

  it('a name in the table that JavaScript has a meaning for is one like any other', async () => {
    const composition = parseComposition('[blobservices.__proto__]\ntype = "memory"\n')
    expect(await composition.build(BLOB_SERVICE, '__proto__')).toBeDefined()
  })

  it('throws only errors of its own, whatever the text', () => {
    const line = fc.oneof(
      fc.string(),
      fc.constantFrom(
        '[blobservices.a]',
        'type = "memory"',
        'type = "combined"',
        'local = "a"',
        'x = """',
        '[[a]]',
        'a = {b = 1}',
      ),
    )
    fc.assert(
      fc.property(fc.array(line, { maxLength: 8 }), (lines) => {
        try {
          parseComposition(lines.join('\n'))
        } catch (error) {
          expect(error).toBeInstanceOf(ConfigError)
        }
      }),
      { numRuns: 500 },
    )
  })

  it('reads a file', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'neve-composition-'))
    try {
      const file = join(folder, 'stores.toml')
      writeFileSync(file, TEXT)
      await using composition = await readCompositionFile(file)
      expect(composition.instances()).toHaveLength(3)
      const missing = await rejection(readCompositionFile(join(folder, 'none.toml')))
      expect(missing).toMatchObject({ code: 'invalid-config', location: { file: join(folder, 'none.toml') } })
      writeFileSync(file, new Uint8Array([0xff]))
      expect(await rejection(readCompositionFile(file))).toBeInstanceOf(ConfigError)
      writeFileSync(file, '[x')
      expect(await rejection(readCompositionFile(file))).toMatchObject({ location: { file, line: 1 } })
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})

describe('W10 schemas', () => {
  it.each<[unknown, number]>([
    [4, 4000],
    [0.5, 500],
    ['10', 10_000],
    ['500ms', 500],
    ['1.5s', 1500],
    ['2m', 120_000],
    ['1h', 3_600_000],
    [0, 0],
  ])('the duration %j is %i ms', (value, expected) => {
    expect(duration().parse(value)).toBe(expected)
  })

  it.each([-1, '', 's', '1 s', '-1s', '1y', '1e3', Number.NaN, Number.POSITIVE_INFINITY, true, null, {}])(
    '%j is no duration',
    (value) => {
      expect(duration().safeParse(value).success).toBe(false)
    },
  )

  it('give a JSON Schema that accepts what is accepted, and refuses what is refused', () => {
    const schema = compositionJsonSchema(notedRegistry())
    const check = z.fromJSONSchema(schema as Parameters<typeof z.fromJSONSchema>[0])
    const accepts = (data: unknown) => check.safeParse(data).success
    expect(accepts({ blobservices: DOCUMENTED, directoryservices: { default: { type: 'memory' } } })).toBe(
      true,
    )
    expect(accepts({ blobservices: { a: { type: 'pair', left: 'a', right: '&b' } } })).toBe(true)
    expect(accepts({ blobservices: { a: { type: 'memory', x: 1 } } })).toBe(false)
    expect(accepts({ blobservices: { a: { type: 'none' } } })).toBe(false)
    expect(accepts({ blobservices: { a: { type: 'combined', local: 'b' } } })).toBe(false)
    expect(accepts({ blobservices: { a: { type: 'combined', local: 'b c', remote: 'd' } } })).toBe(false)
    expect(accepts({ blobs: {} })).toBe(false)
    expect(JSON.stringify(schema)).toContain('"const":"pair"')
  })
})
