import { Path, PathComponent, PathError } from '@neve/castore-model'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { hex, unhex, utf8 } from './fixtures.js'

function failure(run: () => unknown): PathError {
  try {
    run()
  } catch (error) {
    expect(error).toBeInstanceOf(PathError)
    return error as PathError
  }
  return expect.unreachable('nothing was thrown')
}

const host = (path: string | Uint8Array, canonicalizeDotdot: boolean) =>
  Path.fromHostPath(path, { canonicalizeDotdot })

describe('Path (spec 01 section 5)', () => {
  it.each([
    ['', 0],
    ['a', 1],
    ['a/b', 2],
    ['a/b/c', 3],
    ['C:\\a/b', 2],
    ['\\\\tvix-store', 1],
  ])('01#11 parses %j', (text, count) => {
    for (const path of [Path.parse(text), Path.parse(utf8(text))]) {
      expect(path.bytes).toEqual(utf8(text))
      expect(path.components).toHaveLength(count)
      expect(path.key).toBe(text)
    }
  })

  it.each([
    ['/a/b', 0, 'Empty'],
    ['//a/b', 0, 'Empty'],
    ['a/b//c/d', 2, 'Empty'],
    ['a/b/', 2, 'Empty'],
    ['.', 0, 'CurDir'],
    ['..', 0, 'Parent'],
    ['./a', 0, 'CurDir'],
    ['../a', 0, 'Parent'],
    ['a/./b', 1, 'CurDir'],
    ['a/../b', 1, 'Parent'],
    ['a/b/.', 2, 'CurDir'],
    ['a/b/..', 2, 'Parent'],
    ['fo\0o', 0, 'Null'],
    ['/', 0, 'Empty'],
    [`a/${'X'.repeat(256)}`, 1, 'TooLong'],
  ])('01#12 refuses %j', (text, index, reason) => {
    const error = failure(() => Path.parse(text))
    expect(error).toMatchObject({ name: 'PathError', code: 'INVALID_PATH', kind: 'InvalidComponent', index })
    expect(error.path).toEqual(utf8(text))
    expect(error.cause).toMatchObject({ kind: 'Convert', reason })
  })

  it.each([
    ['foo', ''],
    ['foo/bar', 'foo'],
    ['foo2/bar2', 'foo2'],
    ['foo/bar/baz', 'foo/bar'],
  ])('01#13 the parent of %s is %j', (path, parent) => {
    expect(Path.parse(path).parent?.equals(Path.parse(parent))).toBe(true)
    expect(Path.parse(path).parent?.toString()).toBe(parent)
  })

  it('01#14 the root has no parent and no name', () => {
    expect(Path.ROOT.parent).toBeUndefined()
    expect(Path.ROOT.fileName).toBeUndefined()
    expect(Path.parse('')).toBe(Path.ROOT)
    expect(Path.parse('a/b').fileName?.toString()).toBe('b')
  })

  it('01#15 joins a name, leaving the path as it was', () => {
    const a = Path.parse('a')
    for (const name of ['b', utf8('b'), PathComponent.from('b')]) expect(a.join(name).toString()).toBe('a/b')
    expect(a.toString()).toBe('a')
    expect(Path.ROOT.join('a').equals(a)).toBe(true)
  })

  it.each([
    ['a', '/'],
    ['a', ''],
    ['a', 'b/c'],
    ['', '/'],
    ['', ''],
    ['', 'b/c'],
    ['', '.'],
    ['', '..'],
  ])('01#16 %j does not join %j', (path, name) => {
    const base = Path.parse(path)
    expect(failure(() => base.join(name))).toMatchObject({
      kind: 'InvalidComponent',
      index: base.components.length,
    })
    expect(base.toString()).toBe(path)
  })

  it.each([
    ['', []],
    ['a', ['a']],
    ['a/b', ['a', 'b']],
    ['a/b/c', ['a', 'b', 'c']],
  ])('01#17 components of %j', (path, names) => {
    expect(Path.parse(path).components.map(String)).toEqual(names)
    expect(Path.of(names.map((name) => PathComponent.from(name))).equals(Path.parse(path))).toBe(true)
  })

  it.each([
    ['', ''],
    ['a', 'a'],
    ['a/b', 'a/b'],
    ['a//b', 'a/b'],
    ['.', ''],
    ['./a/b', 'a/b'],
    ['a/./b', 'a/b'],
    ['a/b/.', 'a/b'],
    ['a/b/', 'a/b'],
    ['\\\\nix-store', '\\\\nix-store'],
    ['C:\\foo.txt', 'C:\\foo.txt'],
  ])('01#18 host path %j is %j', (path, expected) => {
    expect(host(path, false).bytes).toEqual(utf8(expected))
    expect(host(utf8(path), true).bytes).toEqual(utf8(expected))
  })

  it.each([
    ['a/..', ''],
    ['a/../b', 'b'],
    ['a/b/../../c', 'c'],
  ])('01#19 host path %j is %j, dots resolved', (path, expected) => {
    expect(host(path, true).bytes).toEqual(utf8(expected))
  })

  it.each([
    ['/', false, 'Absolute', 0],
    ['/a', true, 'Absolute', 0],
    ['..', false, 'DotDot', 0],
    ['..', true, 'AboveRoot', 0],
    ['a/..', false, 'DotDot', 1],
    ['foo/bar\0', false, 'InvalidComponent', 1],
    [`a//${'X'.repeat(256)}`, false, 'InvalidComponent', 2],
    ['a/../b\0/..', true, 'InvalidComponent', 2],
  ] as const)('01#20 refuses host path %j (%s) as %s', (path, canonicalize, kind, index) => {
    expect(failure(() => host(path, canonicalize))).toMatchObject({ kind, index })
  })

  it('01#21 keeps bytes that are no UTF-8', () => {
    const path = Path.parse(unhex('c5c4d62f61')).join(unhex('ff'))
    expect(hex(path.bytes)).toBe('c5c4d62f612fff')
    expect(path.toString()).toBe('\\xc5\\xc4\\xd6/a/\\xff')
    expect(hex(host(unhex('c5c4d62f2f61'), false).bytes)).toBe('c5c4d62f61')
  })

  it('01#21 a/../.. leads above the root', () => {
    expect(failure(() => host('a/../..', true))).toMatchObject({ kind: 'AboveRoot', index: 2 })
    expect(failure(() => host('a/../..', true)).message).toContain('going too far up')
  })

  it('copies what it is made from', () => {
    const bytes = utf8('a/b')
    const path = Path.parse(bytes)
    bytes.fill(0)
    expect(path.toString()).toBe('a/b')
    expect(path.components.map(String)).toEqual(['a', 'b'])
  })

  const soup = fc
    .array(fc.constantFrom(0x2e, 0x2e, 0x2f, 0x2f, 0x61, 0x62, 0xff, 0x00), { maxLength: 12 })
    .map((codes) => Uint8Array.from(codes))

  it('parse accepts exactly the joined form of valid names, or throws PathError', () => {
    fc.assert(
      fc.property(fc.oneof(soup, fc.uint8Array({ maxLength: 600 })), (bytes) => {
        const pieces = Buffer.from(bytes).toString('latin1').split('/')
        const valid =
          bytes.length === 0 ||
          pieces.every(
            (piece) => !['', '.', '..'].includes(piece) && piece.length <= 255 && !piece.includes('\0'),
          )
        try {
          const path = Path.parse(bytes)
          expect(valid).toBe(true)
          expect(hex(path.bytes)).toBe(hex(bytes))
          expect(hex(Path.of(path.components).bytes)).toBe(hex(bytes))
        } catch (error) {
          if (!(error instanceof PathError)) throw error
          expect(valid).toBe(false)
        }
      }),
      { numRuns: 3000 },
    )
  })

  it('fromHostPath gives a parsable path, or throws PathError', () => {
    fc.assert(
      fc.property(fc.oneof(soup, fc.uint8Array({ maxLength: 600 })), fc.boolean(), (bytes, canonicalize) => {
        try {
          const path = host(bytes, canonicalize)
          expect(Path.parse(path.bytes).equals(path)).toBe(true)
          const pieces = Buffer.from(bytes).toString('latin1').split('/')
          const up = pieces.filter((piece) => piece === '..').length
          const names = pieces.filter((piece) => !['', '.', '..'].includes(piece)).length
          expect(canonicalize || up === 0).toBe(true)
          expect(path.components).toHaveLength(names - up)
        } catch (error) {
          if (!(error instanceof PathError)) throw error
        }
      }),
      { numRuns: 3000 },
    )
  })
})
