import { NarEncoder, NarError, narEvents, openNar, readNarToEnd } from '@neve/nar'
import { ByteSource, concatBytes } from '@neve/nix-compat/wire'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ascii, encodeTree, hex, packet, raw, readTree, type Tree, toHex, writeTree } from './archives.js'
import { VECTORS } from './vectors.js'

const names = fc
  .uint8Array({ minLength: 1, maxLength: 12 })
  .filter((name) => !name.includes(0) && !name.includes(0x2f) && !['2e', '2e2e'].includes(toHex(name)))
const leaf: fc.Arbitrary<Tree> = fc.oneof(
  fc.record({ file: fc.uint8Array({ maxLength: 200 }), executable: fc.boolean() }),
  fc.record({ symlink: fc.uint8Array({ minLength: 1, maxLength: 20 }).map((t) => t.map((b) => b || 1)) }),
)
const trees: fc.Arbitrary<Tree> = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    leaf,
    fc
      .uniqueArray(fc.tuple(names, tie('tree')), { maxLength: 4, selector: ([name]) => toHex(name) })
      .map((entries) => ({
        entries: entries.sort(([left], [right]) => Buffer.compare(left, right)),
      })),
  ),
})).tree

type Mutation = {
  kind: 'flip' | 'cut' | 'insert' | 'swap' | 'remove' | 'lie' | 'double'
  a: number
  b: number
}

const mutations: fc.Arbitrary<Mutation> = fc.record({
  kind: fc.constantFrom('flip', 'cut', 'insert', 'swap', 'remove', 'lie', 'double'),
  a: fc.nat(),
  b: fc.nat(),
})

/** Most mutations work on whole 8-byte words, so that what comes out looks like an archive for a good while. */
function mutate(bytes: Uint8Array, { kind, a, b }: Mutation): Uint8Array {
  if (bytes.length < 16) return bytes
  const words = Math.floor(bytes.length / 8)
  const word = (index: number) => bytes.subarray((index % words) * 8, (index % words) * 8 + 8)
  const at = (a % words) * 8
  const out = bytes.slice()
  switch (kind) {
    case 'flip':
      out[a % out.length]! ^= 1 << (b % 8)
      return out
    case 'cut':
      return out.subarray(0, a % out.length)
    case 'insert':
      return concatBytes([bytes.subarray(0, at), word(b), bytes.subarray(at)])
    case 'swap':
      out.set(word(b), at)
      out.set(word(a), (b % words) * 8)
      return out
    case 'remove':
      return concatBytes([bytes.subarray(0, at), bytes.subarray(at + 8 * (1 + (b % 4)))])
    case 'lie':
      out.set(packet('', b % 5 === 0 ? 2 ** 48 : b % 300), at)
      return out
    case 'double':
      return concatBytes([bytes.subarray(0, at), bytes.subarray((b % words) * 8)])
  }
}

/** A source that counts how often it is asked, and is never asked more often than it has something to say. */
function counted(bytes: Uint8Array, step: number) {
  const limit = Math.ceil(bytes.length / step) + 1
  let asked = 0
  let at = 0
  const source = ByteSource.from({
    [Symbol.asyncIterator]: () => ({
      async next() {
        if (++asked > limit) throw new Error('asked again after the end')
        const value = bytes.subarray(at, at + step)
        at += step
        return value.length === 0
          ? { done: true as const, value: undefined }
          : { done: false as const, value }
      },
    }),
  })
  return source
}

describe('fuzz', () => {
  test('any tree: reader, writer and the grammar agree, whatever the chunks', async () => {
    await fc.assert(
      fc.asyncProperty(trees, fc.integer({ min: 1, max: 200 }), async (tree, step) => {
        const archive = encodeTree(tree)
        const read = await readTree(counted(archive, step))
        expect(toHex(encodeTree(read))).toBe(toHex(archive))
        expect(toHex(await writeTree(read))).toBe(toHex(archive))
      }),
      { numRuns: 300 },
    )
  })

  test('mutated archives: a tree that encodes to the very same bytes, or our own error', async () => {
    const bases = fc.oneof(
      trees.map(encodeTree),
      fc.constantFrom(...VECTORS.map(({ tree }) => encodeTree(tree))),
    )
    const seen = { same: 0, refused: 0 }
    await fc.assert(
      fc.asyncProperty(
        bases,
        fc.array(mutations, { minLength: 1, maxLength: 3 }),
        fc.integer({ min: 1, max: 300 }),
        async (base, changes, step) => {
          const bytes = changes.reduce(mutate, base)
          const source = counted(bytes, step)
          let steps = 0
          const outcome = await (async () => {
            const tree = await readTree(source)
            steps = Number(source.position)
            return tree
          })().catch((error: unknown) => error)
          if (outcome instanceof Error) {
            seen.refused++
            expect(outcome).toBeInstanceOf(NarError)
            const { code, offset } = outcome as NarError
            expect(['invalid-data', 'unexpected-eof']).toContain(code)
            expect(offset).toBeGreaterThanOrEqual(0n)
            expect(offset).toBeLessThanOrEqual(BigInt(bytes.length))
          } else {
            seen.same++
            expect(toHex(encodeTree(outcome as Tree))).toBe(toHex(bytes.subarray(0, steps)))
          }
        },
      ),
      { numRuns: 4000 },
    )
    expect(seen.same).toBeGreaterThan(10)
    expect(seen.refused).toBeGreaterThan(1000)
  })

  test('strings of the grammar in any order: the same', async () => {
    const words = [
      'nix-archive-1',
      '(',
      ')',
      'type',
      'regular',
      'executable',
      '',
      'contents',
      'symlink',
      'target',
    ]
    const more = ['directory', 'entry', 'name', 'node', 'a', 'b']
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom(...words, ...more), { maxLength: 40 }),
        fc.boolean(),
        async (strings, withHeader) => {
          const bytes = withHeader ? raw('nix-archive-1', '(', 'type', ...strings) : raw(...strings)
          const size = await readNarToEnd(counted(bytes, 50)).catch((error: unknown) => error)
          if (size instanceof Error) expect(size).toBeInstanceOf(NarError)
          else expect(size).toBe(BigInt(bytes.length))
        },
      ),
      { numRuns: 1000 },
    )
  })

  test('any bytes at all are refused', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
        await expect(readNarToEnd(counted(bytes, 9))).rejects.toBeInstanceOf(NarError)
      }),
    )
  })
})

describe('memory', () => {
  const MIB = 1 << 20
  const body = new Uint8Array(MIB).fill(0x5a)

  /** A file of `count` MiB that is never in memory as a whole. */
  function* largeFile(count: number): Generator<Uint8Array> {
    const ready: Uint8Array[] = []
    const encoder = new NarEncoder((chunk) => ready.push(chunk))
    encoder.start()
    encoder.fileHeader(false, BigInt(count * MIB) + 3n)
    for (let index = 0; index < count; index++) {
      encoder.content(body)
      yield* ready.splice(0)
    }
    encoder.content(ascii('end'))
    encoder.fileEnd()
    encoder.finish()
    yield* ready
  }

  test('256 MiB of one file go through without being kept', async () => {
    const source = ByteSource.from(largeFile(256))
    const before = process.memoryUsage().arrayBuffers
    let most = 0
    let read = 0
    const root = await openNar(source)
    if (root.kind !== 'file') throw new Error('not a file')
    for (;;) {
      const piece = await root.content.read()
      if (piece.length === 0) break
      read += piece.length
      expect(source.buffered).toBeLessThanOrEqual(MIB)
      most = Math.max(most, process.memoryUsage().arrayBuffers - before)
    }
    expect(read).toBe(256 * MIB + 3)
    expect(most).toBeLessThan(32 * MIB)
  })

  test('skipping does not keep it either, and a length that lies allocates nothing', async () => {
    const before = process.memoryUsage().arrayBuffers
    for await (const event of narEvents(largeFile(64))) expect(event.type).toBe('file')
    const lie = concatBytes([encodeTree({ file: hex('') }).subarray(0, 88), hex('00000000ffffffff'), body])
    const error = await readNarToEnd(lie).catch((e: unknown) => e)
    expect(error).toMatchObject({ code: 'unexpected-eof', offset: BigInt(lie.length) })
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(32 * MIB)
  })
})
