import { decodeNixbase32, encodeNixbase32, Nixbase32Error, nixbase32Length } from '@neve/nix-compat'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { anyText } from './any-text.js'
import { acceptedOr, fromHex, refusal, toHex } from './refusal.js'

const sha512OfEmpty =
  'cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e'

describe('nixbase32', () => {
  test.each([
    ['B-1', '', ''],
    ['B-2', '1f', '0z'],
    ['B-3', 'ff', '7z'],
    ['B-4', '0001', '0080'],
    ['B-4', '0100', '0001'],
    ['B-4', 'ffff', '1zzz'],
    ['B-5', '0102030405', '0l2060h1'],
    ['B-6', '8a12321522fd91efbd60ebb2481af88580f61600', '00bgd045z0d4icpbc2yyz4gx48ak44la'],
    [
      'B-7',
      'b3a24de97a8fdbc835b9833169501030b8977031bcb54b3b3ac13740f846ab30',
      '0c5b8vw40dy178xlpddw65q9gf1h2186jcc3p4swinwggbllv8mk',
    ],
    ['B-8', '00'.repeat(20), '0'.repeat(32)],
    ['B-9', `${'00'.repeat(31)}01`, `0080${'0'.repeat(48)}`],
    ['B-10', 'ff'.repeat(32), `1${'z'.repeat(51)}`],
    ['B-11', 'd41d8cd98f00b204e9800998ecf8427e', '3y8bwfr609h3lh9ch0izcqq7fl'],
    ['B-12', 'da39a3ee5e6b4b0d3255bfef95601890afd80709', '143xibwh31h9bvxzalr0sjvbbvpa6ffs'],
    [
      'B-13',
      'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
      '0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73',
    ],
    [
      'B-14',
      sha512OfEmpty,
      '0zdl9zrg8r3i9c1g90lgg9ip5ijzv3yhz91i0zzn3r8ap9ws784gkp9dk9j3aglhgf1amqb0pj21mh7h1nxcl18akqvvf7ggqsy30yg',
    ],
    [
      'B-15',
      '7f83b1657ff1fc53b92dc18148a1d65dfc2d4b1fa3d677284addd200126d9069',
      '0schdl901lnx98l7gmm33x5jvz2xsshli0f15nwm7z7igxjv30vz',
    ],
    ['B-16', 'dc55c64d352c2e53ab4051e848a1d65dfc2d4b1f', '3x5jvz2xsshlis2i82mm6bic6m6wcmfw'],
  ])('09#77 %s: %s is %s', (_, hex, text) => {
    const bytes = fromHex(hex)
    expect(encodeNixbase32(bytes)).toBe(text)
    expect(toHex(decodeNixbase32(text))).toBe(hex)
    expect(toHex(decodeNixbase32(text, bytes.length))).toBe(hex)
    expect(nixbase32Length(bytes.length)).toBe(text.length)
  })

  test.each<[string, string, number | undefined, string, number | undefined]>([
    ['09#76', 'zz', undefined, 'nonzero-carry', 0],
    ['09#76', 'c0', undefined, 'nonzero-carry', 0],
    ['09#76', '00', 32, 'invalid-length', undefined],
    ['09#77 B-17', 'z'.repeat(52), 32, 'nonzero-carry', 0],
    ['one character for no byte', '1', undefined, 'nonzero-carry', 0],
    ['upper case', '0Z', undefined, 'invalid-character', 1],
    ['a missing letter', '0e', undefined, 'invalid-character', 1],
    ['the last missing letter', '0u', undefined, 'invalid-character', 1],
    ['beyond ASCII', '0ä', undefined, 'invalid-character', 1],
    ['beyond the table, same low bits', '0İ', undefined, 'invalid-character', 1],
    ['padding', '0z======', undefined, 'invalid-character', 7],
    ['a blank', ' 0z', undefined, 'invalid-character', 0],
    ['one character too many', '0'.repeat(33), 20, 'invalid-length', undefined],
    ['one too few', '0'.repeat(31), 20, 'invalid-length', undefined],
  ])('%s: %s is refused', (_, text, size, code, position) => {
    const error = refusal(Nixbase32Error, () => decodeNixbase32(text, size))
    expect([error.code, error.position, error.text]).toEqual([code, position, text])
    expect(error.message).toMatch(/expected .*, got /)
  })

  test('round trips', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        expect(decodeNixbase32(encodeNixbase32(bytes), bytes.length)).toEqual(bytes)
      }),
    )
  })

  test('fuzz: any text is refused, or is what its bytes encode to', () => {
    const candidate = fc.oneof(
      anyText(60),
      fc.string({ unit: fc.constantFrom(...'0123456789abcdfghijklmnpqrsvwxyz'), maxLength: 60 }),
    )
    let accepted = 0
    fc.assert(
      fc.property(candidate, fc.option(fc.nat(40), { nil: undefined }), (text, size) => {
        const bytes = acceptedOr(Nixbase32Error, () => decodeNixbase32(text, size))
        if (bytes === undefined) return
        accepted++
        expect(bytes.length).toBe(size ?? Math.floor((text.length * 5) / 8))
        expect(encodeNixbase32(bytes)).toBe(text.slice(text.length - nixbase32Length(bytes.length)))
      }),
      { numRuns: 2000 },
    )
    expect(accepted).toBeGreaterThan(0)
  })
})
