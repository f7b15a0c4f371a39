import { describe, expect, test } from 'vitest'
import { UsageError } from '../src/messages.js'
import { parseCount, parseSize, parseUidGid } from '../src/numbers.js'

describe('numbers of the command line', () => {
  test.each([
    ['0', 0],
    ['17', 17],
    ['1k', 1024],
    ['500M', 500 * 2 ** 20],
    ['1T', 2 ** 40],
  ])('size %s', (text, size) => {
    expect(parseSize('--max-size', text)).toBe(size)
  })

  test.each(['', '-1', '1.5', '1X', '1 M', '0x10', '9007199254740992', '9999999999T'])(
    'no size: %j',
    (text) => {
      expect(() => parseSize('--max-size', text)).toThrow(UsageError)
      expect(() => parseSize('--max-size', text)).toThrow('--max-size')
    },
  )

  test.each(['0', '', '-1', '1001', '1e2', 'ten'])('no count: %j', (text) => {
    expect(() => parseCount('--concurrency', text)).toThrow('expected a number from 1 to 1000')
  })

  test('08#13 owners: two decimal numbers of 32 bits', () => {
    expect(parseUidGid('--uid-gid', '1000:100')).toEqual({ uid: 1000, gid: 100 })
    expect(parseUidGid('--uid-gid', '0:4294967295')).toEqual({ uid: 0, gid: 4294967295 })
    for (const text of [
      '1000',
      'a:b',
      '',
      ':',
      '1:',
      ':1',
      '1:2:3',
      '-1:1',
      '1: 2',
      '4294967296:0',
      '0x1:1',
    ]) {
      expect(() => parseUidGid('--uid-gid', text), text).toThrow(UsageError)
    }
  })
})
