import {
  formatNarInfo,
  MAX_NARINFO_LENGTH,
  type NarInfo,
  NarInfoError,
  type NarInfoErrorCode,
  PublicKey,
  parseNarInfo,
  StorePath,
  trustedSignature,
} from '@neve/nix-compat'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { anyText } from './any-text.js'
import { BAZ, CACHE_KEY, HELLO, TARBALL } from './narinfo-texts.js'
import { acceptedOr, refusal, toHex, utf8 } from './refusal.js'

const line = (text: string, key: string) =>
  text.split('\n').find((candidate) => candidate.startsWith(`${key}:`))!
/** BAZ with a line replaced, or left out. */
const baz = (key: string, replacement: string | undefined): string =>
  BAZ.replace(`${line(BAZ, key)}\n`, replacement === undefined ? '' : `${replacement}\n`)

describe('narinfo files', () => {
  test('09#90 printing what was parsed is the identity on canonical files', () => {
    for (const text of [HELLO, TARBALL, BAZ]) {
      const info = parseNarInfo(text)
      expect(formatNarInfo(info)).toBe(text)
      expect(parseNarInfo(utf8(text))).toEqual(info)
      expect(info.quirks.size).toBe(0)
    }
  })

  test('every field is understood', () => {
    const info = parseNarInfo(TARBALL)
    expect(info.storePath.toString()).toBe('pa10z4ngm0g83kx9mssrqzz30s84vq7k-hello-2.12.1.tar.gz')
    expect(info.url).toBe('nar/1zjrhzhaizsrlsvdkqfl073vivmxcqnzkff4s50i0cdf541ary1r.nar.xz')
    expect(info.compression).toBe('xz')
    expect(info.fileHash?.toNix()).toBe('sha256:1zjrhzhaizsrlsvdkqfl073vivmxcqnzkff4s50i0cdf541ary1r')
    expect(info.fileSize).toBe(1033524n)
    expect(info.narHash.toHex()).toBe('9022687ce0c3b96a2d21ead66a3e911aed738febb13b897e1a4b8729e6ba78d3')
    expect(info.narSize).toBe(1033416n)
    expect(info.references).toEqual([])
    expect(toHex(info.deriver!.digest)).toBe('0e530fba5ed5c4653488213053a7c08ad6bba36f')
    expect(info.deriver?.name).toBe('hello-2.12.1.tar.gz.drv')
    expect(info.system).toBeUndefined()
    expect(info.signatures.map(({ name }) => name)).toEqual(['cache.nixos.org-1'])
    expect(info.ca?.method).toBe('flat')
    expect(parseNarInfo(baz('Sig', 'System: x86_64-linux')).system).toBe('x86_64-linux')
    expect(parseNarInfo(HELLO).references.map(({ digest }) => toHex(digest))).toEqual([
      '92b05b823c07a06680cb515270e53883f08e8a1d',
      '5cef938e72f2c7c49d5cf21d30398bfbf65f8dd1',
    ])
  })

  test('signatures of the public cache verify', () => {
    const key = PublicKey.parse(CACHE_KEY)
    for (const text of [HELLO, TARBALL]) {
      expect(trustedSignature(parseNarInfo(text), [key])?.name).toBe('cache.nixos.org-1')
      const forged = { ...parseNarInfo(text), narSize: 1n }
      expect(trustedSignature(forged, [key])).toBeUndefined()
    }
    expect(trustedSignature(parseNarInfo(BAZ), [key])).toBeUndefined()
    expect(trustedSignature(parseNarInfo(HELLO), [])).toBeUndefined()
  })

  test('several signatures are kept in order, and written as one line each', () => {
    const sig = line(BAZ, 'Sig')
    const text = BAZ.replace(sig, `${sig}\n${line(HELLO, 'Sig')}\n${sig}`)
    const info = parseNarInfo(text)
    expect(info.signatures.map(({ name }) => name)).toEqual(['test-key-1', 'cache.nixos.org-1', 'test-key-1'])
    expect(formatNarInfo(info)).toBe(text)
  })

  test('09#86 references out of order keep it, with a quirk', () => {
    const names = 'a8922c0h87iilxzzvwn2hmv8x210aqb9-glibc-2.7 7w2acjgalb0cm7b3bg8yswza4l7iil9y-binutils-2.18'
    const info = parseNarInfo(baz('References', `References: ${names}`))
    expect(info.references.join(' ')).toBe(names)
    expect([...info.quirks]).toEqual(['unordered-references'])
    const twice = `${names.split(' ')[0]} ${names.split(' ')[0]}`
    expect([...parseNarInfo(baz('References', `References: ${twice}`)).quirks]).toEqual([
      'unordered-references',
    ])
  })

  test('09#87 a recursive SHA-1 content address', () => {
    const { ca } = parseNarInfo(baz('CA', 'CA: fixed:r:sha1:1ak1ymbmsfx7z8kh09jzkr3a4dvkrfjw'))
    expect(ca?.method).toBe('recursive')
    expect(ca?.hash.toHex()).toBe('5cba3c77236ae4f9650270a27fbad375551fa60a')
  })

  test('09#88 no compression means bzip2; a NAR hash may be in hex', () => {
    const without = parseNarInfo(baz('Compression', undefined))
    expect(without.compression).toBe('bzip2')
    expect([...without.quirks]).toEqual(['missing-compression'])
    const hash = '60adfd293a4d81ad7cd7e47263cbb3fc846309ef91b154a08ba672b558f94ff3'
    const hex = parseNarInfo(baz('NarHash', `NarHash: sha256:${hash}`))
    expect(hex.narHash.toHex()).toBe(hash)
    expect([...hex.quirks]).toEqual(['hex-nar-hash'])
  })

  test('an unknown deriver is none, missing references are none, unknown keys are passed over', () => {
    const deriver = parseNarInfo(baz('Sig', 'Deriver: unknown-deriver'))
    expect(deriver.deriver).toBeUndefined()
    expect([...deriver.quirks]).toEqual(['unknown-deriver'])
    const references = parseNarInfo(baz('References', undefined))
    expect(references.references).toEqual([])
    expect([...references.quirks]).toEqual(['missing-references'])
    const unknown = parseNarInfo(`${BAZ}X-Else: what\nX-Else: ever\n`)
    expect([...unknown.quirks]).toEqual(['unknown-field'])
    expect(formatNarInfo(unknown)).toBe(BAZ)
  })

  const zeros = '0'.repeat(52)
  type Row = [name: string, text: string, code: NarInfoErrorCode, field?: string]
  const rows: Row[] = [
    ['no text', '', 'missing-field', 'StorePath'],
    ...['StorePath', 'URL', 'NarHash', 'NarSize'].map(
      (key) => [`no ${key}`, baz(key, undefined), 'missing-field', key] as Row,
    ),
    ...['StorePath', 'URL', 'NarSize', 'References', 'CA'].map(
      (key) => [`${key} twice`, `${BAZ}${line(BAZ, key)}\n`, 'duplicate-field', key] as Row,
    ),
    ...['URL', 'Compression', 'System'].map(
      (key) =>
        [
          `empty ${key}`,
          key === 'System' ? `${BAZ}System: \n` : baz(key, `${key}: `),
          'empty-field',
          key,
        ] as Row,
    ),
    ['a line without colon', `${BAZ}Nothing\n`, 'invalid-line'],
    ['a colon without a blank', baz('URL', 'URL:nar'), 'invalid-line'],
    ['two blanks', baz('URL', 'URL:  nar'), 'invalid-line'],
    ['an empty line', `${BAZ}\n`, 'invalid-line'],
    ['cut off', BAZ.slice(0, -1), 'invalid-line'],
    ['cut off inside', BAZ.slice(0, 400), 'invalid-line'],
    ['line ends of DOS', BAZ.replaceAll('\n', '\r\n'), 'invalid-field', 'StorePath'],
    [
      'a relative store path',
      baz('StorePath', `StorePath: ${zeros.slice(20)}-a`),
      'invalid-field',
      'StorePath',
    ],
    ['a URL with a blank', baz('URL', 'URL: a b'), 'invalid-field', 'URL'],
    ['a URL with an escape', baz('URL', 'URL: a\u001b[2J'), 'invalid-field', 'URL'],
    ['a file hash without algorithm', baz('FileHash', `FileHash: ${zeros}`), 'invalid-field', 'FileHash'],
    [
      'a file hash of SHA-1',
      baz('FileHash', `FileHash: sha1:${zeros.slice(20)}`),
      'invalid-field',
      'FileHash',
    ],
    [
      'a file hash in hex',
      baz('FileHash', `FileHash: sha256:${'0'.repeat(64)}`),
      'invalid-field',
      'FileHash',
    ],
    ['a NAR hash of 51', baz('NarHash', `NarHash: sha256:${zeros.slice(1)}`), 'invalid-field', 'NarHash'],
    ['upper-case hex', baz('NarHash', `NarHash: sha256:${'A'.repeat(64)}`), 'invalid-field', 'NarHash'],
    ['no NAR size', baz('NarSize', 'NarSize: '), 'invalid-field', 'NarSize'],
    ['a NAR size of 0', baz('NarSize', 'NarSize: 0'), 'invalid-field', 'NarSize'],
    ['a negative NAR size', baz('NarSize', 'NarSize: -1'), 'invalid-field', 'NarSize'],
    ['a NAR size with sign', baz('NarSize', 'NarSize: +1'), 'invalid-field', 'NarSize'],
    ['a NAR size of 2^64', baz('NarSize', `NarSize: ${2n ** 64n}`), 'invalid-field', 'NarSize'],
    ['a fractional size', baz('FileSize', 'FileSize: 1.5'), 'invalid-field', 'FileSize'],
    [
      'references with two blanks',
      baz('References', `${line(BAZ, 'References')}  `),
      'invalid-field',
      'References',
    ],
    [
      'absolute references',
      baz('References', `References: /nix/store/${zeros.slice(20)}-a`),
      'invalid-field',
      'References',
    ],
    ['a deriver without .drv', baz('Sig', `Deriver: ${zeros.slice(20)}-a`), 'invalid-field', 'Deriver'],
    [
      'a deriver that is only .drv',
      baz('Sig', `Deriver: ${zeros.slice(20)}-.drv`),
      'invalid-field',
      'Deriver',
    ],
    [
      'a signature without name',
      baz('Sig', line(BAZ, 'Sig').replace('test-key-1', '')),
      'invalid-field',
      'Sig',
    ],
    ['a signature of 87 characters', baz('Sig', line(BAZ, 'Sig').slice(0, -1)), 'invalid-field', 'Sig'],
    ['an empty signature', baz('Sig', 'Sig: '), 'invalid-field', 'Sig'],
    ['text with SHA-1', baz('CA', `CA: text:sha1:${zeros.slice(20)}`), 'invalid-field', 'CA'],
    ['too long', 'X: y\n'.repeat(MAX_NARINFO_LENGTH / 5 + 1), 'too-long'],
  ]

  test.each(rows)('refused: %s', (_name, text, code, field) => {
    const error = refusal(NarInfoError, () => parseNarInfo(text))
    expect(error).toMatchObject({ code, field })
    expect(error.message).toMatch(/^narinfo(, line \d+)?: /)
    expect(error.message.length).toBeLessThan(600)
  })

  test('refused: bytes that are not UTF-8', () => {
    const bytes = Uint8Array.of(...utf8(`${BAZ}X: `), 0xff, 0x0a)
    expect(refusal(NarInfoError, () => parseNarInfo(bytes)).code).toBe('invalid-line')
  })

  test('fuzz: any text is refused, or means the same when written again', () => {
    const change = fc.tuple(fc.nat(900), fc.nat(40), anyText(4))
    let accepted = 0
    fc.assert(
      fc.property(
        fc.constantFrom(HELLO, TARBALL, BAZ),
        fc.array(change, { maxLength: 3 }),
        (seed, changes) => {
          const text = changes.reduce<string>(
            (current: string, [at, cut, insert]) => current.slice(0, at) + insert + current.slice(at + cut),
            seed,
          )
          const info = acceptedOr(NarInfoError, () => parseNarInfo(text))
          if (info === undefined) return
          accepted++
          const { quirks: _quirks, ...again } = parseNarInfo(formatNarInfo(info))
          expect({ ...again, quirks: info.quirks }).toEqual(info)
        },
      ),
      { numRuns: 3000 },
    )
    expect(accepted).toBeGreaterThan(100)
  })

  test('long lists of references keep their order', () => {
    const digest = fc.uint8Array({ minLength: 20, maxLength: 20 })
    const path = fc
      .tuple(digest, fc.stringMatching(/^[a-z0-9][a-zA-Z0-9+._?=-]{0,20}$/))
      .map(([bytes, name]) => new StorePath(bytes, name))
    fc.assert(
      fc.property(fc.array(path, { maxLength: 50 }), (references) => {
        const info: NarInfo = { ...parseNarInfo(BAZ), references }
        expect(parseNarInfo(formatNarInfo(info)).references).toEqual(references)
      }),
      { numRuns: 100 },
    )
  })
})
