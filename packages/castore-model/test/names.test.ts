import {
  escapeBytes,
  PathComponent,
  PathComponentError,
  SymlinkTarget,
  SymlinkTargetError,
} from '@neve/castore-model'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { unhex, utf8 } from './fixtures.js'

const X = (count: number) => 'X'.repeat(count)

function caught(run: () => unknown): unknown {
  try {
    run()
  } catch (error) {
    return error
  }
  return expect.unreachable('nothing was thrown')
}

describe('PathComponent (spec 01 section 3)', () => {
  const refused = [
    ['', 'Empty'],
    ['foo\0', 'Null'],
    ['.', 'CurDir'],
    ['..', 'Parent'],
    ['a/b', 'Slashes'],
    ['/', 'Slashes'],
  ] as const

  it.each(refused)('01#2 01#3 refuses %j as %s', (text, kind) => {
    const bytes = utf8(text)
    expect(caught(() => PathComponent.validate(bytes))).toMatchObject({
      name: 'PathComponentError',
      kind,
      reason: kind,
    })
    for (const make of [
      () => PathComponent.from(bytes),
      () => PathComponent.from(text),
      () => PathComponent.adopt(bytes),
    ]) {
      const error = caught(make) as PathComponentError
      expect(error).toBeInstanceOf(PathComponentError)
      expect(error).toMatchObject({ code: 'INVALID_PATH_COMPONENT', kind: 'Convert', reason: kind, bytes })
      expect(error.cause).toMatchObject({ kind })
    }
  })

  it('01#4 refuses 500 bytes as TooLong', () => {
    expect(caught(() => PathComponent.validate(utf8(X(500))))).toMatchObject({ kind: 'TooLong' })
  })

  it('01#5 takes aa from everything', () => {
    const made = [PathComponent.from('aa'), PathComponent.from(utf8('aa')), PathComponent.adopt(utf8('aa'))]
    for (const component of made) expect(component.equals(made[0]!)).toBe(true)
    expect(made.map((component) => component.key)).toEqual(['aa', 'aa', 'aa'])
  })

  it.each([
    [X(256), 'TooLong'],
    [`${X(255)}\0`, 'TooLong'],
    ['a/\0', 'Null'],
    ['\0/', 'Null'],
  ] as const)('01#6 checks in order (%#)', (text, kind) => {
    expect(caught(() => PathComponent.from(text))).toMatchObject({ kind: 'Convert', reason: kind })
  })

  it('01#6 takes 255 bytes', () => {
    expect(PathComponent.from(X(255)).bytes).toHaveLength(255)
  })

  it.each(['\\', 'a b', '\n', '\x01', '...', '.a', '..a', 'é', '\u{1f600}'])('takes %j', (text) => {
    expect(PathComponent.from(text).bytes).toEqual(utf8(text))
  })

  it('copies what it is made from', () => {
    const bytes = utf8('aa')
    const component = PathComponent.from(bytes)
    bytes[0] = 0
    expect(component.bytes).toEqual(utf8('aa'))
  })

  it('says the messages of the specification', () => {
    expect(caught(() => PathComponent.from('a\n"\0'))).toMatchObject({
      message: `unable to convert '"a\\n\\"\\0"'`,
      cause: { message: 'cannot contain null bytes' },
    })
  })

  it('accepts exactly what the rules accept', () => {
    const pieces = fc.array(fc.constantFrom(0, 0x2e, 0x2f, 0x61, 0xff), { maxLength: 5 })
    fc.assert(
      fc.property(pieces, (codes) => {
        const bytes = Uint8Array.from(codes)
        const text = Buffer.from(bytes).toString('latin1')
        const valid = text !== '' && text !== '.' && text !== '..' && !/[\0/]/.test(text)
        let accepted = true
        try {
          PathComponent.from(bytes)
        } catch (error) {
          expect(error).toBeInstanceOf(PathComponentError)
          accepted = false
        }
        expect(accepted).toBe(valid)
      }),
      { numRuns: 2000 },
    )
  })

  it('orders as memcmp does', () => {
    const nameBytes = fc
      .uint8Array({ minLength: 1, maxLength: 6 })
      .filter((b) => !b.includes(0) && !b.includes(0x2f) && b[0] !== 0x2e)
    fc.assert(
      fc.property(nameBytes, nameBytes, (a, b) => {
        const [x, y] = [PathComponent.from(a), PathComponent.from(b)]
        expect(Math.sign(PathComponent.compare(x, y))).toBe(Buffer.compare(a, b))
        expect(x.equals(y)).toBe(Buffer.compare(a, b) === 0)
        expect(x.key === y.key).toBe(x.equals(y))
      }),
    )
  })
})

describe('SymlinkTarget (spec 01 section 4)', () => {
  it.each([
    ['', 'Empty'],
    ['foo\0', 'Null'],
  ] as const)('01#7 refuses %j as %s', (text, kind) => {
    const bytes = utf8(text)
    expect(caught(() => SymlinkTarget.validate(bytes))).toMatchObject({ name: 'SymlinkTargetError', kind })
    for (const make of [
      () => SymlinkTarget.from(bytes),
      () => SymlinkTarget.from(text),
      () => SymlinkTarget.adopt(bytes),
    ]) {
      const error = caught(make) as SymlinkTargetError
      expect(error).toBeInstanceOf(SymlinkTargetError)
      expect(error).toMatchObject({ code: 'INVALID_SYMLINK_TARGET', kind: 'Convert', reason: kind, bytes })
    }
  })

  it('01#8 refuses 5000 bytes as TooLong', () => {
    expect(caught(() => SymlinkTarget.validate(utf8(X(5000))))).toMatchObject({ kind: 'TooLong' })
  })

  it.each(['aa', '.', './..', '..', 'a/b', '/a/b', unhex('c5c4d6')])('01#9 takes %s unchanged', (target) => {
    const bytes = typeof target === 'string' ? utf8(target) : target
    expect(SymlinkTarget.from(target).bytes).toEqual(bytes)
    expect(SymlinkTarget.from(bytes).equals(SymlinkTarget.adopt(bytes))).toBe(true)
  })

  it('01#10 takes 4095 bytes, refuses 4096 whatever they hold', () => {
    expect(SymlinkTarget.from(X(4095)).bytes).toHaveLength(4095)
    expect(caught(() => SymlinkTarget.from(X(4096)))).toMatchObject({ reason: 'TooLong' })
    expect(caught(() => SymlinkTarget.from(`${X(4095)}\0`))).toMatchObject({ reason: 'TooLong' })
  })

  it('closes its quotes', () => {
    expect(caught(() => SymlinkTarget.from('a\0'))).toMatchObject({ message: `unable to convert '"a\\0"'` })
  })

  it('orders and keys by content', () => {
    const [a, b] = [SymlinkTarget.from('a'), SymlinkTarget.from('b/')]
    expect(SymlinkTarget.compare(a, b)).toBeLessThan(0)
    expect([a.key, b.key, b.toString()]).toEqual(['a', 'b/', 'b/'])
  })
})

describe('escapeBytes', () => {
  it.each([
    [utf8('plain é \u{1f600}'), 'plain é \u{1f600}'],
    [utf8('\x1b[31m'), '\\u{1b}[31m'],
    [utf8('tab\tnew\nline\r\0'), 'tab\\tnew\\nline\\r\\0'],
    [utf8('"\\'), '\\"\\\\'],
    [utf8('\u202e\ufeff\u2028'), '\\u{202e}\\u{feff}\\u{2028}'],
    [unhex('61c5c4d662'), 'a\\xc5\\xc4\\xd6b'],
    [unhex('c3a9ffe282'), 'é\\xff\\xe2\\x82'],
    [unhex('eda080'), '\\xed\\xa0\\x80'],
  ])('%#', (bytes, text) => {
    expect(escapeBytes(bytes)).toBe(text)
  })

  it('never lets a control character through', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 24 }), (bytes) => {
        expect(escapeBytes(bytes)).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u)
      }),
      { numRuns: 2000 },
    )
  })
})
