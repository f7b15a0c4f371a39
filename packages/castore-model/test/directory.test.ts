import {
  type B3Digest,
  Directory,
  DirectoryBuilder,
  DirectoryError,
  directorySize,
  equalNodes,
  InvalidSizeError,
  MAX_DIRECTORY_BYTES,
  type Node,
  sizeAccepted,
} from '@neve/castore-model'
import { describe, expect, it } from 'vitest'
import {
  DUMMY_DIGEST,
  DUMMY_DIGEST_2,
  directory,
  dirNode,
  emptyFile,
  fileNode,
  fixtures,
  link,
  name,
  utf8,
} from './fixtures.js'

const MAX = 2n ** 64n - 1n

function kindOf(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    expect(error).toBeInstanceOf(DirectoryError)
    return (error as DirectoryError).kind
  }
  return expect.unreachable('nothing was thrown')
}

describe('Directory (spec 01 section 6.2)', () => {
  it('01#22 takes one directory node', () => {
    const made = Directory.fromEntries([[name('b'), dirNode(1n)]])
    expect(made.entryCount).toBe(1)
    expect(made.get(name('b'))).toEqual(dirNode(1n))
  })

  it('01#23 takes names in any order and iterates them bytewise', () => {
    const made = new DirectoryBuilder().add(name('b'), dirNode(1n)).add(name('a'), dirNode(1n)).build()
    expect(made.entries.map((entry) => entry.name.toString())).toEqual(['a', 'b'])
    expect(Directory.decode(made.encode().slice()).equals(made)).toBe(true)
    expect(made.size()).toBe(4n)
  })

  it('01#24 refuses a total over 2^64−1', () => {
    const builder = new DirectoryBuilder()
    expect(kindOf(() => builder.add(name('foo'), dirNode(MAX)))).toBe('SizeOverflow')
    expect(builder.entryCount).toBe(0)
    expect(kindOf(() => directory({ foo: dirNode(MAX) }))).toBe('SizeOverflow')
  })

  it('01#25 says which name is a duplicate', () => {
    const builder = new DirectoryBuilder().add(name('a'), dirNode(0n))
    const error = (() => {
      try {
        builder.add(name('a'), fileNode(1n))
      } catch (thrown) {
        return thrown
      }
      return undefined
    })()
    expect(error).toMatchObject({
      message: '"a" is a duplicate name',
      name: 'DirectoryError',
      code: 'DIRECTORY_DUPLICATE_NAME',
      kind: 'DuplicateName',
      entryName: utf8('a'),
    })
    expect(builder.has(name('a'))).toBe(true)
    expect(builder.build().get(name('a'))).toEqual(dirNode(0n))
  })

  it('01#26 2^64−2 fits once, then everything overflows, a duplicate too', () => {
    const builder = new DirectoryBuilder().add(name('a'), dirNode(MAX - 1n))
    expect(kindOf(() => builder.add(name('b'), fileNode(1n)))).toBe('SizeOverflow')
    expect(kindOf(() => builder.add(name('a'), fileNode(1n)))).toBe('SizeOverflow')
    expect(builder.build().size()).toBe(MAX)
    expect(kindOf(() => builder.build().size('twice'))).toBe('SizeOverflow')
    const entries = [
      [name('a'), dirNode(MAX - 1n)],
      [name('a'), fileNode(1n)],
    ] as const
    expect(kindOf(() => Directory.fromEntries(entries))).toBe('SizeOverflow')
  })

  it('01#27 takes nine entries of three kinds in any order, to wire and back', () => {
    const nodes: [string, Node][] = [
      ...['b', 'a', 'z'].map((n): [string, Node] => [n, dirNode(1n)]),
      ...['f', 'c', 'g'].map((n): [string, Node] => [n, fileNode(1n, true)]),
      ...['t', 'o', 'e'].map((n): [string, Node] => [n, link('a')]),
    ]
    const made = Directory.fromEntries(nodes.map(([text, node]) => ({ name: name(text), node })))
    const back = Directory.decode(made.encode().slice())
    expect(back.equals(made)).toBe(true)
    expect(back.entries.map((entry) => entry.name.toString())).toEqual([...'abcefgotz'])
    for (const [text, node] of nodes) expect(equalNodes(back.get(name(text))!, node)).toBe(true)
    expect([...back.directories()].map((child) => child.name.toString())).toEqual(['a', 'b', 'z'])
  })

  it('reports the first entry that does not fit, in the order given', () => {
    const a = [name('a'), fileNode(1n)] as const
    const huge = [name('h'), dirNode(MAX)] as const
    expect(kindOf(() => Directory.fromEntries([a, huge, a]))).toBe('SizeOverflow')
    expect(kindOf(() => Directory.fromEntries([a, a, huge]))).toBe('DuplicateName')
    const duplicates = ['c', 'b', 'c', 'b'].map((text) => [name(text), emptyFile] as const)
    expect(() => Directory.fromEntries(duplicates)).toThrow('"c" is a duplicate name')
  })

  it('finds entries by name or bytes', () => {
    const names = Array.from({ length: 300 }, (_, i) => `n${i}`)
    const made = Directory.fromEntries(names.map((text, i) => [name(text), fileNode(BigInt(i))] as const))
    for (const [i, text] of names.entries()) expect(made.get(utf8(text))).toEqual(fileNode(BigInt(i)))
    for (const text of ['', 'n', 'n300', 'a', 'z', 'n0 ', '/']) expect(made.get(utf8(text))).toBeUndefined()
    expect(Directory.EMPTY.get(utf8('a'))).toBeUndefined()
  })

  it('remembers encoding and digest', () => {
    const { COMPLICATED } = fixtures('once')
    expect(COMPLICATED.encode()).toBe(COMPLICATED.encode())
    expect(COMPLICATED.digest()).toBe(COMPLICATED.digest())
    expect(COMPLICATED.encodedBytes).toBe(COMPLICATED.encode().length)
    const bytes = COMPLICATED.encode().slice()
    expect(Directory.decode(bytes).encode()).toBe(bytes)
  })

  it('a builder goes on after build without touching what it built', () => {
    const builder = new DirectoryBuilder().add(name('b'), emptyFile)
    const first = builder.build()
    builder.add(name('a'), emptyFile)
    expect([first.entryCount, builder.build().entryCount]).toEqual([1, 2])
  })

  it.each([-1n, 2n ** 64n, 1.5, 1, undefined, '1'])('refuses the size %s', (size) => {
    const bad = [fileNode(size as bigint), dirNode(size as bigint)]
    for (const node of bad) {
      expect(() => directory({ a: node })).toThrow(InvalidSizeError)
      expect(() => new DirectoryBuilder().add(name('a'), node)).toThrow(InvalidSizeError)
    }
  })

  it('01#42 a node of a directory carries its size', () => {
    const { A, WITH_KEEP, COMPLICATED } = fixtures('once')
    for (const value of [A, WITH_KEEP, COMPLICATED]) {
      for (const rule of ['once', 'twice'] as const) {
        expect(value.toNode(rule)).toEqual({
          kind: 'directory',
          digest: value.digest(),
          size: value.size(rule),
        })
      }
    }
    expect([A, WITH_KEEP, COMPLICATED].map((value) => value.toNode().size)).toEqual([0n, 1n, 4n])
  })
})

describe('sizes (spec 01 section 6.3)', () => {
  it('has one rule in two flavours', () => {
    expect(directorySize(3, 5n)).toBe(8n)
    expect(directorySize(3, 5n, 'once')).toBe(8n)
    expect(directorySize(3, 5n, 'twice')).toBe(11n)
    expect(directorySize(0, MAX)).toBe(MAX)
    expect(kindOf(() => directorySize(1, MAX))).toBe('SizeOverflow')
  })

  it('01#41 refuses a parent that records 42 for the empty directory', () => {
    expect(sizeAccepted(42n, Directory.EMPTY)).toBe(false)
    expect(sizeAccepted(0n, Directory.EMPTY)).toBe(true)
    expect(sizeAccepted(1n, Directory.EMPTY)).toBe(false)
  })

  it('accepts from the once-count to the twice-count', () => {
    const child = directory({ d: dirNode(10n), f: emptyFile, l: link('x') })
    expect([12n, 13n, 14n, 15n, 16n, 17n].map((size) => sizeAccepted(size, child))).toEqual([
      ...[false, true, true, true, true, false],
    ])
  })

  it('accepts what either rule, or a mix of them, writes for a nested tree', () => {
    for (const inner of ['once', 'twice'] as const) {
      const { COMPLICATED } = fixtures(inner)
      for (const outer of ['once', 'twice'] as const) {
        expect(sizeAccepted(COMPLICATED.size(outer), COMPLICATED)).toBe(true)
      }
    }
  })

  it('does not overflow at the top', () => {
    const child = directory({ d: dirNode(MAX - 1n) })
    expect([MAX - 1n, MAX].map((size) => sizeAccepted(size, child))).toEqual([false, true])
  })
})

describe('the maximum encoded size (spec 01, weakness 13)', () => {
  const value = directory({ a: emptyFile, b: emptyFile })
  const bytes = value.encode()
  const tooLarge = {
    kind: 'TooLarge',
    code: 'DIRECTORY_TOO_LARGE',
    actual: bytes.length,
    expected: bytes.length - 1,
  }

  it('is checked when building and when decoding, before anything is read', () => {
    const limits = { maxBytes: bytes.length - 1 }
    const builder = new DirectoryBuilder(limits).add(name('a'), emptyFile)
    for (const run of [
      () => builder.add(name('b'), emptyFile),
      () => Directory.fromEntries(value.entries, limits),
      () => Directory.decode(bytes, limits),
      () => Directory.decodeMessage(bytes, limits),
    ]) {
      expect(run).toThrow(expect.objectContaining(tooLarge))
    }
    expect(builder.entryCount).toBe(1)
    const exact = { maxBytes: bytes.length }
    expect(Directory.decode(bytes, exact).equals(Directory.fromEntries(value.entries, exact))).toBe(true)
    expect(() => Directory.decode(new Uint8Array(MAX_DIRECTORY_BYTES + 1))).toThrow(DirectoryError)
  })

  it('leaves room for a million entries by default', () => {
    expect(MAX_DIRECTORY_BYTES).toBe(104857600)
    const digests: B3Digest[] = [DUMMY_DIGEST, DUMMY_DIGEST_2]
    const entries = Array.from({ length: 100_000 }, (_, i) => ({
      name: name(`file-with-a-common-name-${i + 1_000_000}.txt`),
      node: fileNode(BigInt(i), i % 2 === 0, digests[i % 2]),
    }))
    const made = Directory.fromEntries(entries)
    expect(made.encodedBytes * 10).toBeLessThan(MAX_DIRECTORY_BYTES)
    const decoded = Directory.decode(made.encode())
    expect(decoded.size()).toBe(100_000n)
    expect(decoded.get(utf8('file-with-a-common-name-1077777.txt'))).toEqual(
      fileNode(77777n, false, DUMMY_DIGEST_2),
    )
  })
})
