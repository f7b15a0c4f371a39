import { execFileSync } from 'node:child_process'
import { gzipSync } from 'node:zlib'
import { ArchiveError, decompressed } from '@neve/castore-services/ingest/archive'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  archive,
  checksummed,
  dir,
  file,
  hardLink,
  ingest,
  longName,
  pax,
  pieces,
  symlink,
  tree,
} from './tar-builder.js'

/** So that no mutation is a bomb. */
const LIMITS = { maxSize: 2 ** 22, maxEntries: 1000 }

const SPARSE = pax(['GNU.sparse.size', '2000'], ['GNU.sparse.map', '100,3,1000,5'])
const ONE = pax(
  ['GNU.sparse.major', '1'],
  ['GNU.sparse.minor', '0'],
  ['GNU.sparse.name', 'top/one'],
  ['GNU.sparse.realsize', '99'],
)
const WHOLE = archive(
  { ...pax(['comment', 'x']), type: 'g' },
  dir('top'),
  file('top/a', 'content'),
  { ...file('top/b', 'x'.repeat(1500)), mode: 0o755 },
  pax(['path', `top/${'é'.repeat(100)}`], ['size', '3']),
  file('x', 'pax'),
  longName(`top/${'l'.repeat(150)}`),
  longName('t'.repeat(150), 'K'),
  { ...symlink('x', 'x'), dialect: 'gnu' },
  hardLink('top/h', 'top/a'),
  SPARSE,
  file('top/sparse', 'abcdefgh'),
  ONE,
  file('top/x', `${'2\n3\n4\n50\n5\n'.padEnd(512, '\0')}abcdefghi`),
)

/** Makes headers at block boundaries valid again, so that more than the checksum is tested. */
function resummed(bytes: Buffer): Buffer {
  const fixed = Buffer.from(bytes)
  for (let at = 0; at + 512 <= fixed.length; at += 512) {
    const block = fixed.subarray(at, at + 512)
    if (block.toString('latin1', 257, 262) === 'ustar') checksummed(block)
  }
  return fixed
}

const mutation = fc.oneof(
  fc.record({ kind: fc.constant('set' as const), at: fc.nat(), value: fc.nat(255) }),
  fc.record({ kind: fc.constant('flip' as const), at: fc.nat(), value: fc.nat(7) }),
  fc.record({
    kind: fc.constant('digit' as const),
    at: fc.nat(),
    value: fc.integer({ min: 0x2f, max: 0x3a }),
  }),
  fc.record({ kind: fc.constant('cut' as const), at: fc.nat(), value: fc.nat() }),
  fc.record({ kind: fc.constant('drop' as const), at: fc.nat(), value: fc.nat(3) }),
  fc.record({ kind: fc.constant('repeat' as const), at: fc.nat(), value: fc.nat(3) }),
)

function mutated(
  bytes: Buffer,
  mutations: readonly { kind: string; at: number; value: number }[],
  unit: number,
): Buffer {
  let result: Buffer = Buffer.from(bytes)
  for (const { kind, at, value } of mutations) {
    if (result.length === 0) break
    const place = at % result.length
    const start = place - (place % unit)
    if (kind === 'set' || kind === 'digit') result[place] = value
    else if (kind === 'flip') result[place]! ^= 1 << value
    else if (kind === 'cut') result = result.subarray(0, place)
    else if (kind === 'drop') {
      result = Buffer.concat([result.subarray(0, start), result.subarray(start + unit * (value + 1))])
    } else result = Buffer.concat([result.subarray(0, start + unit * (value + 1)), result.subarray(start)])
  }
  return result
}

/** @returns whether it is a tree; anything but that or an ArchiveError fails the test */
async function isTree(bytes: Uint8Array): Promise<boolean> {
  try {
    const ingested = await ingest(bytes, LIMITS)
    await tree(ingested)
    return true
  } catch (error) {
    if (!(error instanceof ArchiveError)) throw error
    expect(error.message.length).toBeGreaterThan(0)
    return false
  }
}

describe('fuzzed archives', () => {
  it('the whole one is a tree', async () => {
    expect(await tree(await ingest(WHOLE, LIMITS))).toHaveLength(7)
  })

  it('are a tree or an ArchiveError', async () => {
    let trees = 0
    let refused = 0
    await fc.assert(
      fc.asyncProperty(
        fc.array(mutation, { minLength: 1, maxLength: 4 }),
        fc.boolean(),
        async (mutations, sum) => {
          const bytes = mutated(WHOLE, mutations, 512)
          if (await isTree(sum ? resummed(bytes) : bytes)) trees++
          else refused++
        },
      ),
      { numRuns: 1500 },
    )
    // Both have to come up, or nothing was tested.
    expect(Math.min(trees, refused)).toBeGreaterThan(50)
  })

  it('of any bytes in any header are a tree or an ArchiveError', async () => {
    const header = fc.record({
      name: fc.uint8Array({ maxLength: 100 }),
      type: fc.constantFrom('0', '1', '2', '5', '7', 'x', 'g', 'L', 'K', 'S', '\0', 'V'),
      content: fc.uint8Array({ maxLength: 600 }),
      link: fc.uint8Array({ maxLength: 100 }),
      dialect: fc.constantFrom('ustar' as const, 'gnu' as const, 'v7' as const),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(header, { maxLength: 6 }), async (parts) => {
        await isTree(archive(...parts))
      }),
      { numRuns: 500 },
    )
  })

  it('of records of any kind in PAX headers are a tree or an ArchiveError', async () => {
    const key = fc.constantFrom(
      ...[
        'path',
        'linkpath',
        'size',
        'GNU.sparse.size',
        'GNU.sparse.realsize',
        'GNU.sparse.map',
        'GNU.sparse.name',
      ],
      ...['GNU.sparse.offset', 'GNU.sparse.numbytes', 'GNU.sparse.major', 'GNU.sparse.minor', 'comment'],
    )
    const value = fc.oneof(
      fc.nat(40).map(String),
      fc.array(fc.nat(40), { maxLength: 6 }).map((numbers) => numbers.join(',')),
      fc.constantFrom('', 'top/x', '1', '0', '../x', '9007199254740991'),
      fc.uint8Array({ maxLength: 20 }),
    )
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(key, value), { maxLength: 6 }),
        fc.nat(40),
        async (records, length) => {
          await isTree(archive(pax(...records), file('top/file', 'x'.repeat(length)), file('top/after', 'x')))
        },
      ),
      { numRuns: 800 },
    )
  })

  it('in pieces of any length are the same tree', async () => {
    const expected = await tree(await ingest(WHOLE))
    const { MemoryBlobService } = await import('@neve/castore-services/blob/memory')
    const { MemoryDirectoryService } = await import('@neve/castore-services/directory/memory')
    const { ingestArchive } = await import('@neve/castore-services/ingest/archive')
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 700 }), { minLength: 1 }), async (lengths) => {
        async function* split() {
          for (let at = 0, i = 0; at < WHOLE.length; i++) {
            const length = lengths[i % lengths.length]! + (i % lengths.length === 0 ? 1 : 0)
            yield WHOLE.subarray(at, at + length)
            at += length
          }
        }
        const services = { blobs: new MemoryBlobService(), directories: new MemoryDirectoryService() }
        expect(await tree({ ...services, node: await ingestArchive(services, split()) })).toEqual(expected)
      }),
      { numRuns: 60 },
    )
  })
})

function compress(program: string, ...args: string[]): Buffer | undefined {
  try {
    return execFileSync(program, ['-c', ...args], { input: WHOLE, stdio: ['pipe', 'pipe', 'ignore'] })
  } catch {
    return undefined
  }
}

describe.each([
  ['gzip', gzipSync(WHOLE)],
  ['bzip2', compress('bzip2')],
  ['xz', compress('xz')],
  ['zstd', compress('zstd')],
] as const)('fuzzed %s data', (name, whole) => {
  it.skipIf(whole === undefined)('is a tree or an ArchiveError, and ends', async () => {
    const magic = name === 'xz' ? 6 : 4
    await fc.assert(
      fc.asyncProperty(fc.array(mutation, { minLength: 1, maxLength: 3 }), async (mutations) => {
        const bytes = Buffer.concat([
          whole!.subarray(0, magic),
          mutated(whole!.subarray(magic), mutations, 16),
        ])
        await isTree(bytes)
      }),
      { numRuns: name === 'gzip' || name === 'zstd' ? 500 : 250 },
    )
  })

  it.skipIf(whole === undefined)('of random bytes behind the magic is an ArchiveError', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 200 }),
        fc.integer({ min: 4, max: 60 }),
        async (random, kept) => {
          const bytes = Buffer.concat([whole!.subarray(0, Math.max(kept, 6)), random])
          let size = 0
          try {
            for await (const piece of decompressed(pieces(bytes), { maxSize: 2 ** 24 })) size += piece.length
          } catch (error) {
            expect(error).toBeInstanceOf(ArchiveError)
            return
          }
          expect(size).toBeLessThanOrEqual(2 ** 24)
        },
      ),
      { numRuns: 150 },
    )
  })
})
