import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { argumentBytes, decodeArgument, hasRawBytes } from '../src/arguments.js'
import { describe as describeError, exitCodeOf, oneLine, UsageError } from '../src/messages.js'
import { counted, formatBytes, formatDuration } from '../src/output/format.js'
import { jsonBytes, jsonLine } from '../src/output/names.js'
import { progressLine } from '../src/progress/bar.js'

describe('arguments', () => {
  test('any bytes survive as text, and text stays as it is', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect(argumentBytes(decodeArgument(bytes)).equals(bytes)).toBe(true)
      }),
    )
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(decodeArgument(Buffer.from(text))).toBe(text)
        expect(hasRawBytes(text)).toBe(false)
      }),
    )
    expect(decodeArgument(Buffer.from('caf\xe9', 'latin1'))).toBe('caf\udce9')
  })
})

describe('messages', () => {
  test('are one line without control characters, whatever is in them', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(oneLine(text)).not.toMatch(/[\p{Cc}\p{Cs}\p{Zl}\p{Zp}]/u)
      }),
    )
    expect(oneLine('a\n  b\x1b[31m\u202e\udce9')).toBe('a; b\\u{1b}[31m\\u{202e}\\xe9')
  })

  test('system errors are told in words', () => {
    const error = Object.assign(new Error("ENOENT: no such file or directory, lstat '/x, y'"), {
      code: 'ENOENT',
    })
    expect(describeError(error)).toBe('no such file or directory')
    const outer = Object.assign(new Error(`cannot read /x: ${error.message}`), { code: 'stat' })
    expect(describeError(outer)).toBe('cannot read /x: no such file or directory')
  })

  test('what was not foreseen is called so, and shown whole on request', () => {
    const error = new TypeError('x is not a function')
    expect(describeError(error)).toBe('internal error: x is not a function (NEVE_DEBUG=1 shows more)')
    expect(describeError(error, true)).toContain('    at ')
    expect(describeError('text')).toBe('text')
  })

  test('status 2 is for mistakes in the command line', () => {
    expect(exitCodeOf(new UsageError('x'))).toBe(2)
    expect(exitCodeOf(Object.assign(new Error('x'), { code: 'invalid-address' }))).toBe(2)
    expect(exitCodeOf(Object.assign(new Error('x'), { code: 'not-found' }))).toBe(1)
    expect(exitCodeOf('x')).toBe(1)
  })
})

describe('numbers for people', () => {
  test.each([
    [0, '0 B'],
    [999, '999 B'],
    [1000, '1.0 kB'],
    [9949, '9.9 kB'],
    [9950, '10 kB'],
    [146_234_567, '146 MB'],
    [999_500, '1.0 MB'],
    [4_294_967_296n, '4.3 GB'],
    [2n ** 64n - 1n, '18 EB'],
  ])('%s bytes are %s', (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text)
  })

  test.each([
    [900, '0.9 s'],
    [9_949, '9.9 s'],
    [9_950, '10 s'],
    [59_600, '1 min 0 s'],
    [200_000, '3 min 20 s'],
    [7_500_000, '2 h 5 min'],
  ])('%s ms are %s', (ms, text) => {
    expect(formatDuration(ms)).toBe(text)
  })

  test('counts have their noun', () => {
    expect([counted(1, 'file'), counted(40_112, 'file'), counted(2n, 'directory', 'directories')]).toEqual([
      '1 file',
      '40,112 files',
      '2 directories',
    ])
  })
})

describe('JSON', () => {
  test('any bytes can be got back', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        const { name, nameBase64 } = JSON.parse(jsonLine(jsonBytes('name', bytes)))
        const back = nameBase64 === undefined ? Buffer.from(name) : Buffer.from(nameBase64, 'base64')
        expect(back.equals(bytes)).toBe(true)
      }),
    )
  })

  test('sizes beyond 2^53 keep their digits', () => {
    expect(jsonLine({ a: 12n, b: 2n ** 64n - 1n })).toBe('{"a":12,"b":"18446744073709551615"}\n')
  })
})

describe('the progress line', () => {
  test('tells what is known, before and after the totals are', () => {
    const progress = { bytes: 67_000_000, files: 12_345 }
    expect(progressLine('docs', progress, {}, 500)).toBe('docs 12,345 files · 67 MB · 134 MB/s')
    const line = progressLine(
      'docs',
      { bytes: 73_000_000, files: 20_000 },
      { bytes: 146_000_000, files: 40_000 },
      500,
    )
    expect(line).toBe(
      `docs ${'█'.repeat(12)}${'░'.repeat(12)} 50 % · 20,000 of 40,000 files · 73 MB of 146 MB · 146 MB/s · 0.5 s left`,
    )
  })

  test('never goes beyond its end', () => {
    expect(progressLine('x', { bytes: 30 }, { bytes: 10 }, 1)).toContain(`${'█'.repeat(24)} 100 %`)
    expect(progressLine('x', { bytes: 0 }, { bytes: 0 }, 1)).toBe('x 0 B of 0 B · 0 B/s')
  })
})
