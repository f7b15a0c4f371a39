import { join } from 'node:path'
import { inspect } from 'node:util'
import {
  BLOB_SERVICE,
  blobServiceFromAddress,
  CompositionError,
  ConfigError,
  DIRECTORY_SERVICE,
  defaultRegistry,
  directoryServiceFromAddress,
  type Kind,
  redactAddress,
  UnknownTypeError,
} from '@neve/castore-services/composition'
import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { rejection } from './composition-fixture.js'
import { temporaryFolder } from './embedded-fixture.js'

const registry = defaultRegistry()

/** What happens to an address: it can be built, or why not. */
async function outcome(kind: 'blob' | 'directory', address: string): Promise<string> {
  try {
    const service =
      kind === 'blob' ? await blobServiceFromAddress(address) : await directoryServiceFromAddress(address)
    await service.close?.()
    return 'ok'
  } catch (error) {
    expect(error).toBeInstanceOf(CompositionError)
    return (error as CompositionError).message
  }
}

const folder = temporaryFolder()
const BOTH: readonly (readonly [string, string])[] = [
  ['http://foo.example/test', 'Unknown type: http'],
  ['memory://', 'ok'],
  ['memory:', 'ok'],
  ['MEMORY:', 'ok'],
  ['memory://foo', 'host may not be set'],
  ['memory:///', 'path may not be set'],
  ['memory:///foo', 'path may not be set'],
  ['memory:foo', 'path may not be set'],
  ['memory:?x=1', 'query may not be set'],
  ['memory:?', 'ok'],
  ['memory:#x', 'fragment may not be set'],
  ['memory://user@', 'unable to parse url'],
  ['memory', 'unable to parse url'],
  ['', 'unable to parse url'],
  ['//x', 'unable to parse url'],
  [' memory:', 'unable to parse url'],
  ['memory:\n', 'unable to parse url'],
  ['mem\tory:', 'unable to parse url'],
  ['&default', 'unable to parse url'],
  ['grpc+unix:///path/to/somewhere', 'ok'],
  ['grpc+unix:/path/to/somewhere', 'ok'],
  ['grpc+unix://host.example/path/to/somewhere', 'host may not be set for unix domain sockets'],
  ['grpc+http://[::1]:12345', 'ok'],
  ['grpc+http://localhost', 'ok'],
  ['grpc+https://localhost', 'ok'],
  ['grpc+http://localhost/some-path', 'path may not be set'],
  ['grpc+https://localhost/some-path', 'path may not be set'],
  ['grpc://localhost', 'grpc+ prefix is missing from URL'],
  ['grpc+ftp://localhost', "unknown scheme 'grpc+ftp:', expected one of grpc+unix:, grpc+http:, grpc+https:"],
  ['grpc+unix:///path/to/somewhere?wait-connect=0', 'ok'],
  [`grpc+unix://${folder}/nobody?wait-connect=1`, 'unable to connect'],
  [`embedded:${folder}/store`, 'ok'],
  [`embedded://${folder}/store`, 'ok'],
  ['embedded:', 'path is missing'],
  ['embedded://host/path', 'host may not be set'],
  ['embedded:/a?path=/b', 'the path stands before the question mark'],
  ['embedded:/a?read_only=maybe', 'expected true or false'],
  ['embedded:/a?read_only=true&read_only=true', 'is there twice'],
  ['embedded:/a?x=1', "unknown key 'x'"],
  ['embedded:/a%00b', 'path has a NUL in it'],
  ['embedded:/a%ffb', 'path is not percent-encoded UTF-8'],
  ['objectstore+memory:///', 'ok'],
  ['objectstore+memory://', 'ok'],
  ['objectstore+memory:', 'ok'],
  [`objectstore+file://${folder}/foo/bar`, 'ok'],
  ['objectstore+file://host/foo', 'expected no host'],
  ['objectstore+https://localhost:8080/some-path', 'ok'],
  ['objectstore+s3://bucket/path', 'ok'],
  ['objectstore+gs://bucket/path', 'ok'],
  ['objectstore+az://container/path?azure_storage_account_name=x', 'ok'],
  ['objectstore+s3://', 'expected a bucket as the host'],
  ['objectstore+s3://bucket#x', 'fragment may not be set'],
  ['objectstore+s3://bucket?aws_region=a&aws_region=b', 'aws_region: is there twice'],
  ['objectstore+s3://bucket/a//b', 'expected no empty component'],
  ['objectstore+ftp://host', "unknown scheme 'objectstore+ftp:', expected one of objectstore+memory:"],
  ['objectstore://x', 'Missing objectstore uri'],
  ['cache://', "required key 'near' is missing"],
  ['cache://?near=memory:', "required key 'far' is missing"],
  ['cache://?near=memory:&far=memory:', 'ok'],
  ['cache://?near=memory:&far=memory:&writes=back', 'ok'],
  ['cache://?near=memory:&far=memory:&writes=never', 'writes: '],
  ['cache://host?near=memory:&far=memory:', 'host may not be set'],
  ['cache://?near=%26local&far=memory:', 'store not found: local (anonymous → near → local)'],
  ['cache://?near=local&far=memory:', 'near: the name of an instance begins with & in an address: %26name'],
  ['cache://?near=memory://x&far=memory:', 'memory://x: near: host may not be set'],
  ['mirror://?stores=memory:&stores=memory:', 'ok'],
  ['mirror://', "required key 'stores' is missing"],
  ['sled://host.example', 'host may not be set'],
  ['sled://', 'cannot be opened; write embedded:/path/to/folder, or memory: for a temporary store'],
]

describe.each(['blob', 'directory'] as const)(
  '02#14 03#24 03#25 03#28 03#29 04#6 04#7 addresses of a %s service',
  (kind) => {
    it.each(BOTH)('%j: %s', async (address, expected) => {
      const shown = expected.replace(
        /\((.*)\)/,
        (_, path: string) => `(${path.replace(/(anonymous|local)/g, `${kind}:$1`)})`,
      )
      expect(await outcome(kind, address)).toContain(shown)
    })

    it('W12 takes no other suffix than its own', async () => {
      expect(await outcome(kind, 'memory+x://')).toBe(
        "memory+x://: unknown scheme 'memory+x:', expected memory:",
      )
      expect(await outcome(kind, 'memory+://')).toContain('unknown scheme')
      expect(await outcome(kind, 'embedded+file:///x')).toContain('unknown scheme')
    })

    it('04#17 gives a store of its own each time', async () => {
      const open = kind === 'blob' ? blobServiceFromAddress : directoryServiceFromAddress
      expect(await open('memory://')).not.toBe(await open('memory://'))
    })
  },
)

describe('addresses of one kind', () => {
  it('04#17 two memory addresses are two stores', async () => {
    const [a, b] = [await blobServiceFromAddress('memory://'), await blobServiceFromAddress('memory://')]
    const digest = await a.put(new Uint8Array([1]))
    expect([await a.has(digest), await b.has(digest)]).toEqual([true, false])
  })

  it('04#16 combined and cache need to be told of what', async () => {
    expect(await outcome('blob', 'combined://')).toContain(
      "combined://: local: required key 'local' is missing",
    )
    expect(await outcome('blob', 'combined://?local=memory:&remote=memory:')).toBe('ok')
    expect(await outcome('directory', 'combined://?local=memory:&remote=memory:')).toContain(
      'Unknown type: combined',
    )
  })

  it.each(['http://foo.example/test', 'memory://foo', 'memory:///', 'memory:///foo'])(
    '02#19 memory refuses %s',
    async (address) => {
      expect(await rejection(blobServiceFromAddress(address))).toBeInstanceOf(ConfigError)
    },
  )

  it('avg_chunk_size is for blobs', async () => {
    const address = 'objectstore+memory:?avg_chunk_size='
    expect(await outcome('blob', `${address}1024`)).toBe('ok')
    expect(await outcome('blob', `${address}12`)).toContain('avg_chunk_size: ')
    expect(await outcome('blob', `${address}many`)).toContain('avg_chunk_size: expected a whole number')
    expect(await outcome('directory', `${address}1024`)).toContain('only blobs are cut into chunks')
  })

  it.each<[string, string]>([
    ['bigtable://instance-1?project_id=project-1&table_name=table-1&family_name=cf1', 'ok'],
    [
      'bigtable://instance-1?project_id=project-1&table_name=table-1&family_name=cf1&channel_size=10&timeout=10',
      'ok',
    ],
    ['bigtable://instance-1', "required key 'project_id' is missing"],
    ['bigtable://?project_id=project-1', 'instance name missing'],
    ['bigtable://i?project_id=p&table_name=t&family_name=f&timeout=500ms', 'timeout: expected whole seconds'],
    ['bigtable://i?project_id=p&table_name=t&family_name=f&tiemout=5', "unknown key 'tiemout'"],
    ['bigtable://i?project_id=p&project_id=q', 'is there twice'],
    ['bigtable://i/path', 'path may not be set'],
  ])('03#30 %s: %s', async (address, expected) => {
    vi.stubEnv('BIGTABLE_EMULATOR_HOST', '127.0.0.1:1')
    try {
      expect(await outcome('directory', address)).toContain(expected)
    } finally {
      vi.unstubAllEnvs()
    }
  })

  it.each<[string, boolean]>([
    ['sled://', true],
    ['sled:///', false],
    ['sled://foo.example', false],
    [`sled://${folder}`, true],
    [`sled:${folder}`, true],
    [`sled://foo.example${folder}`, false],
    ['redb://', true],
    ['redb:///', false],
    ['redb://foo.example', false],
    [`redb://${join(folder, 'foo')}`, true],
    [`redb:${join(folder, 'foo')}`, true],
    [`redb://foo.example${join(folder, 'bar')}`, false],
  ])('03#26 03#27 %s is read: %j; never built, but told what to write instead', async (address, isRead) => {
    if (!isRead) {
      expect(() => registry.fromUrl(DIRECTORY_SERVICE, address)).toThrow(ConfigError)
      return
    }
    expect(registry.fromUrl(DIRECTORY_SERVICE, address).tag).toMatch(/^(sled|redb)$/)
    const error = (await rejection(directoryServiceFromAddress(address))) as CompositionError
    expect(error).toMatchObject({ code: 'failed', cause: { code: 'unsupported' } })
    expect(error.message).toContain('write embedded:/path/to/folder')
  })

  it('an unknown type is an error of its own', async () => {
    expect(await rejection(blobServiceFromAddress('bogus:'))).toMatchObject({
      constructor: UnknownTypeError,
      type: 'bogus',
    })
    expect(await rejection(blobServiceFromAddress('redb:'))).toBeInstanceOf(UnknownTypeError)
  })

  it('refuses addresses that are too long, or too deep', async () => {
    let nested = 'memory:'
    for (let depth = 0; depth < 20; depth += 1) nested = `readonly:?store=${nested}`
    expect(await outcome('blob', nested)).toContain('more than 16 deep')
    expect(await outcome('blob', `embedded:/${'x'.repeat(70_000)}`)).toContain('expected at most 65536')
    expect(await outcome('blob', `${'readonly:?store='.repeat(4000)}memory:`)).toContain('deep')
  })
})

describe('whatever the address', () => {
  const CANARY = 'hunter2-canary'
  const forms = fc.constantFrom(
    CANARY,
    encodeURIComponent(CANARY),
    `${CANARY}%`,
    CANARY.replace('-', '%2D'),
    CANARY.replace('-', '%2d'),
  )
  const schemes = fc.constantFrom(
    ...[
      'memory',
      'embedded',
      'grpc',
      'grpc+unix',
      'grpc+http',
      'grpc+https',
      'objectstore+s3',
      'objectstore+file',
    ],
    ...[
      'objectstore+https',
      'objectstore+memory',
      'combined',
      'cache',
      'mirror',
      'readonly',
      'sled',
      'redb',
      'http',
    ],
    ...['bigtable', 'x', 'memory+x'],
  )
  const secretAddress = fc
    .tuple(
      schemes,
      fc.constantFrom('', '/', '//', '///'),
      fc.option(fc.constantFrom('user:', ':', ''), { nil: undefined }),
      fc.constantFrom('', 'host', 'host.example:1', '[::1]', '/path', 'host/a/b', '..', '%'),
      fc.constantFrom(
        '',
        '?',
        '#',
        '?token=',
        '?near=',
        '?store=memory:&far=',
        '?a&secret_access_key=',
        '?path=/x&path=',
      ),
      forms,
      fc.constantFrom('', '&x=1', '#f', '&far=memory:'),
    )
    .map(([scheme, slashes, user, place, query, secret, tail]) => {
      const owner = user === undefined ? '' : `${user}${secret}@`
      return `${scheme}:${slashes}${owner}${place}${query}${query === '' ? '' : secret}${tail}`
    })
  const nestedAddress = fc.oneof(
    secretAddress,
    secretAddress.map((inner) => `readonly:?store=${encodeURIComponent(inner)}`),
    secretAddress.map(
      (inner) =>
        `cache:?near=memory:&far=${encodeURIComponent(`verify:?store=${encodeURIComponent(inner)}`)}`,
    ),
    secretAddress.map((inner) => `mirror:?stores=${inner}`),
  )

  it.each<[string, Kind<unknown>]>([
    ['blob', BLOB_SERVICE],
    ['directory', DIRECTORY_SERVICE],
  ])('a builder, or an error of its own: %s', (_, kind) => {
    const tags = registry
      .types(kind)
      .flatMap(({ type }) => [type.tag, ...(type.suffixes ?? []).map((s) => `${type.tag}+${s}`)])
    const address = fc.oneof(
      fc.string(),
      fc.string({ unit: 'binary' }),
      fc.webUrl({ withQueryParameters: true, withFragments: true }),
      fc
        .tuple(fc.constantFrom(...tags), fc.string({ unit: 'grapheme' }))
        .map(([tag, rest]) => `${tag}:${rest}`),
      fc
        .tuple(fc.constantFrom(...tags), fc.webPath(), fc.webQueryParameters())
        .map(([tag, path, query]) => `${tag}:${path}?${query}`),
      nestedAddress,
    )
    fc.assert(
      fc.property(address, (text) => {
        try {
          registry.fromUrl(kind, text)
        } catch (error) {
          expect(error).toBeInstanceOf(ConfigError)
        }
      }),
      { numRuns: 400 },
    )
  })

  it('no error shows a secret of it', () => {
    fc.assert(
      fc.property(
        nestedAddress,
        fc.constantFrom<Kind<unknown>>(BLOB_SERVICE, DIRECTORY_SERVICE),
        (text, kind) => {
          let shown = ''
          try {
            const builder = registry.fromUrl(kind, text)
            shown = `${inspect(builder, { depth: 10, showHidden: true })} ${builder} ${JSON.stringify(builder)}`
          } catch (error) {
            shown = `${inspect(error, { depth: 10, showHidden: true })} ${error} ${JSON.stringify(error)}`
          }
          expect(shown).not.toContain('hunter2')
          expect(redactAddress(text)).not.toContain('hunter2')
        },
      ),
      { numRuns: 1000 },
    )
  })
})

it.each<[string, string]>([
  ['memory:', 'memory:'],
  ['s3://key:secret@bucket/prefix?region=eu#x', 's3://…@bucket/prefix?…'],
  ['https://a@b@host/x', 'https://…@host/x'],
  ['s3://key:se/cr?et@bucket', 's3://…?…'],
  ['embedded:/var/lib/neve', 'embedded:/var/lib/neve'],
  ['a:\u001b[31m', 'a: [31m'],
])('redactAddress(%j) is %j', (address, shown) => {
  expect(redactAddress(address)).toBe(shown)
})
