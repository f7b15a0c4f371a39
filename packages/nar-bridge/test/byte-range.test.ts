import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseRange } from '../src/byte-range.js'

describe('parseRange', () => {
  it.each([
    ['bytes=0-0', 0n, 1n],
    ['bytes=0-99', 0n, 100n],
    ['bytes=90-', 90n, 100n],
    ['bytes=-10', 90n, 100n],
    ['bytes=-1000', 0n, 100n],
    ['bytes=5-1000', 5n, 100n],
    ['BYTES= 5-6 ', 5n, 7n],
    ['bytes=99-99999999999999999999999999', 99n, 100n],
  ])('%s', (header, start, end) => {
    expect(parseRange(header, 100n)).toEqual({ start, end })
  })

  it.each(['bytes=100-', 'bytes=100-200', 'bytes=-0', 'bytes=99999999999999999999-'])(
    '%s has nothing in it',
    (header) => {
      expect(parseRange(header, 100n)).toBe('unsatisfiable')
    },
  )

  it.each([
    ...[
      '',
      'bytes',
      'bytes=',
      'bytes=-',
      'bytes=1',
      'bytes=2-1',
      'bytes=0-1,3-4',
      'bytes=a-b',
      'bytes=0x1-2',
    ],
    ...['lines=0-1', 'bytes=+1-2', 'bytes=1-2-3', 'bytes 0-1/2', `bytes=0-${'9'.repeat(200)}`],
  ])('%s is passed over', (header) => {
    expect(parseRange(header, 100n)).toBeUndefined()
  })

  it('never gives what is not within the whole, whatever comes', () => {
    const headers = fc.oneof(
      fc.string(),
      fc.tuple(fc.bigInt(0n, 300n), fc.bigInt(0n, 300n)).map(([a, b]) => `bytes=${a}-${b}`),
      fc.stringMatching(/^bytes=[0-9]{0,4}-[0-9]{0,4}$/),
    )
    fc.assert(
      fc.property(headers, fc.bigInt(0n, 256n), (header, size) => {
        const range = parseRange(header, size)
        if (typeof range !== 'object') return
        expect(range.start).toBeGreaterThanOrEqual(0n)
        expect(range.start).toBeLessThan(range.end)
        expect(range.end).toBeLessThanOrEqual(size)
      }),
    )
  })
})
