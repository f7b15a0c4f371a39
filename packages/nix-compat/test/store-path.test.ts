import { StorePath, StorePathError, validateName } from '@neve/nix-compat'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { anyText } from './any-text.js'
import { acceptedOr, refusal, toHex, utf8 } from './refusal.js'

const example = '00bgd045z0d4icpbc2yyz4gx48ak44la-net-tools-1.60_p20170221182432'
const digits = example.slice(0, 32)

describe('store paths', () => {
  test('09#72 a name may begin with a dot', () => {
    const path = StorePath.parse('fli4bwscgna7lpm7v5xgnjxrxh0yc7ra-.gitignore')
    expect(path.name).toBe('.gitignore')
    expect(path.toString()).toBe('fli4bwscgna7lpm7v5xgnjxrxh0yc7ra-.gitignore')
  })

  test('09#73 base name and absolute form, from text and from bytes', () => {
    for (const input of [example, utf8(example)]) {
      const path = StorePath.parse(input)
      expect(toHex(path.digest)).toBe('8a12321522fd91efbd60ebb2481af88580f61600')
      expect(path.name).toBe('net-tools-1.60_p20170221182432')
      expect(String(path)).toBe(example)
      expect(path.toAbsolute()).toBe(`/nix/store/${example}`)
    }
    for (const input of [`/nix/store/${example}`, utf8(`/nix/store/${example}`)]) {
      expect(StorePath.parseAbsolute(input).toAbsolute()).toBe(`/nix/store/${example}`)
    }
    expect(JSON.stringify([StorePath.parse(example)])).toBe(`["/nix/store/${example}"]`)
  })

  test.each<[string, string, string, number | undefined]>([
    ['09#74 an empty name after a short hash', '00bgd045z0d4icpbc2yy-', 'invalid-length', undefined],
    ['09#74 a name of 212 bytes', `${digits}-${'n'.repeat(212)}`, 'invalid-length', undefined],
    [
      '09#74 a short hash',
      '00bgd045z0d4icpbc2yy-net-tools-1.60_p20170221182432',
      'invalid-hash-encoding',
      undefined,
    ],
    [
      '09#74 a letter outside the alphabet',
      '00bgd045z0d4icpbc2yyz4gx48aku4la-net-tools-1.60_p20170221182432',
      'invalid-hash-encoding',
      undefined,
    ],
    [
      '09#74 that with something appended',
      '00bgd045z0d4icpbc2yyz4gx48aku4la-net-tools-1.60_p20170221182432/bin/arp',
      'invalid-hash-encoding',
      undefined,
    ],
    ['09#74 something within', `${example}/bin/arp`, 'invalid-name', 30],
    [
      '09#74 no dash',
      '00bgd045z0d4icpbc2yyz4gx48ak44lanet-tools-1.60_p20170221182432',
      'missing-dash',
      undefined,
    ],
    ['an empty text', '', 'invalid-length', undefined],
    ['an empty name', `${digits}-`, 'invalid-length', undefined],
    ['a hash in upper case', `${digits.toUpperCase()}-n`, 'invalid-hash-encoding', undefined],
    ['a blank in the name', `${digits}-a b`, 'invalid-name', 1],
    ['a letter beyond ASCII', `${digits}-aä`, 'invalid-name', 1],
    ['a final newline', `${example}\n`, 'invalid-name', 30],
    ['a NUL', `${digits}-\0`, 'invalid-name', 0],
    ['the name .', `${digits}-.`, 'invalid-name', 0],
    ['the name ..', `${digits}-..`, 'invalid-name', 0],
    ['a name that begins with .-', `${digits}-.-x`, 'invalid-name', 0],
    ['a name that begins with ..-', `${digits}-..-x`, 'invalid-name', 0],
    ['short and wrong otherwise: the length is looked at first', 'UUU', 'invalid-length', undefined],
    [
      'hash and dash wrong: the hash is looked at first',
      `${'u'.repeat(32)}_n`,
      'invalid-hash-encoding',
      undefined,
    ],
    ['dash and name wrong: the dash is looked at first', `${digits}_a b`, 'missing-dash', undefined],
  ])('%s is refused', (_, text, code, position) => {
    for (const parse of [
      () => StorePath.parse(text),
      () => StorePath.parseAbsolute(`/nix/store/${text}`),
      () => StorePath.parseAbsolute(utf8(`/nix/store/${text}`)),
    ]) {
      const error = refusal(StorePathError, parse)
      expect([error.code, error.position]).toEqual([code, position])
      expect(error.message).toMatch(/expected .*, got /)
    }
  })

  test.each([
    'foobar-123',
    '',
    '/nix/store',
    'nix/store/',
    `/nix/stor/${example}`,
    `/gnu/store/${example}`,
    example,
  ])('09#74 %j is not in the store directory', (path) => {
    expect(refusal(StorePathError, () => StorePath.parseAbsolute(path)).code).toBe('missing-store-dir')
    expect(refusal(StorePathError, () => StorePath.parseFull(path)).code).toBe('missing-store-dir')
  })

  test('09#75 a path that leads into a store path', () => {
    const storePath = StorePath.parse(example)
    const absolute = storePath.toAbsolute()
    for (const [suffix, rest] of [
      ['', ''],
      ['/', ''],
      ['/bin/arp', 'bin/arp'],
      ['/bin/arp/', 'bin/arp'],
      ['//bin///arp', 'bin/arp'],
    ] as const) {
      expect(StorePath.parseFull(absolute + suffix)).toEqual({ storePath, rest })
      expect(StorePath.parseFull(utf8(absolute + suffix))).toEqual({ storePath, rest: utf8(rest) })
    }
    for (const path of ['/nix/store/', '/nix/store/foo']) {
      expect(refusal(StorePathError, () => StorePath.parseFull(path)).code).toBe('invalid-length')
    }
  })

  test('the bytes of the rest survive, whatever they are', () => {
    const rest = Uint8Array.of(0xff, 0x2f, 0xc3, 0x28)
    const path = new Uint8Array([...utf8(`/nix/store/${example}/`), ...rest])
    expect(StorePath.parseFull(path).rest).toEqual(rest)
  })

  test('names: one and 211 bytes, all characters', () => {
    for (const name of ['a', 'n'.repeat(211), '...', '.a-', '..a', '+-._?=aZ09', '-', '=', '-.']) {
      validateName(name)
      expect(StorePath.parse(`${digits}-${name}`).name).toBe(name)
    }
    expect(refusal(StorePathError, () => validateName('')).code).toBe('invalid-length')
    expect(refusal(StorePathError, () => validateName('n'.repeat(212))).code).toBe('invalid-length')
  })

  test('a digest has 20 bytes, and is copied', () => {
    expect(refusal(StorePathError, () => new StorePath(new Uint8Array(19), 'n')).code).toBe('invalid-length')
    const digest = new Uint8Array(20)
    const path = new StorePath(digest, 'n')
    digest.fill(1)
    expect(path.toString()).toBe(`${'0'.repeat(32)}-n`)
  })

  test('sorted by base name, not by digest', () => {
    // The last byte of the digest is the first of the text.
    const first = StorePath.parse(`${'0'.repeat(31)}z-a`)
    const second = StorePath.parse(`z${'0'.repeat(31)}-a`)
    const third = StorePath.parse(`z${'0'.repeat(31)}-b`)
    expect([third, second, first].sort(StorePath.compare)).toEqual([first, second, third])
    expect(first.digest[0]! > second.digest[0]!).toBe(true)
    expect(StorePath.compare(first, StorePath.parse(first.toString()))).toBe(0)
    expect(second.equals(third)).toBe(false)
    expect(second.equals(StorePath.parse(second.toString()))).toBe(true)
  })

  test('fuzz: any text or bytes are refused, or print as they were', () => {
    const near = fc
      .tuple(fc.nat(64), fc.nat(2), anyText(3))
      .map(([at, cut, insert]) => example.slice(0, at) + insert + example.slice(at + cut))
    fc.assert(
      fc.property(fc.oneof(near, anyText(60)), (text) => {
        const path = acceptedOr(StorePathError, () => StorePath.parse(text))
        if (path !== undefined) expect(path.toString()).toBe(text)
        const bytes = utf8(`/nix/store/${text}`)
        const absolute = acceptedOr(StorePathError, () => StorePath.parseAbsolute(bytes))
        if (absolute !== undefined) expect(utf8(absolute.toAbsolute())).toEqual(bytes)
        const full = acceptedOr(StorePathError, () => StorePath.parseFull(bytes))
        if (full !== undefined)
          expect(utf8(full.storePath.toAbsolute())).toEqual(
            bytes.subarray(0, 44 + full.storePath.name.length),
          )
      }),
      { numRuns: 3000 },
    )
  })
})
