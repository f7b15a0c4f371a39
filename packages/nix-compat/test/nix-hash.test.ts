import { createHash } from 'node:crypto'
import {
  digestSize,
  HASH_ALGORITHMS,
  type HashAlgorithm,
  NixHash,
  NixHashError,
  NixHasher,
} from '@neve/nix-compat'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import * as plain from '../src/digest.js'
import * as native from '../src/digest.node.js'
import { anyText } from './any-text.js'
import { acceptedOr, refusal, toHex, utf8 } from './refusal.js'

const anyAlgorithm = fc.constantFrom(...HASH_ALGORITHMS)
const sriExample = 'sha256-pc6cFV7Qk5dhRkbJcX/HzZSxAj17drYY1Ank/v1unTk='
const unpaddedExample = 'sha256-fgIr3TyFGDAXP5+qoAaiMKDg/a1MlT6Fv/S/DaA24S8'

describe('hash texts', () => {
  test('all forms of one hash', () => {
    const hash = NixHash.of('sha256', new Uint8Array(0))
    expect(hash.toHex()).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
    expect(hash.toNix()).toBe('sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73')
    expect(hash.toSri()).toBe('sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=')
    expect(String(hash)).toBe(hash.toNix())
    expect(JSON.stringify({ hash })).toBe(`{"hash":"${hash.toSri()}"}`)
  })

  test('every form is read back, with and without the algorithm from outside', () => {
    fc.assert(
      fc.property(anyAlgorithm, fc.uint8Array({ minLength: 64, maxLength: 64 }), (algorithm, bytes) => {
        const hash = new NixHash(algorithm, bytes.subarray(0, digestSize(algorithm)))
        const bare = [hash.toHex(), hash.toHex().toUpperCase(), hash.toNixbase32(), hash.toBase64()]
        for (const digest of bare) {
          expect(NixHash.parse(digest, algorithm)).toEqual(hash)
          expect(NixHash.parse(`${algorithm}:${digest}`)).toEqual(hash)
          expect(NixHash.parse(`${algorithm}:${digest}`, algorithm)).toEqual(hash)
        }
        expect(hash.toBase64()).toBe(Buffer.from(hash.digest).toString('base64'))
        for (const sri of [hash.toSri(), hash.toSri().replace(/=+$/, '')]) {
          expect(NixHash.parse(sri)).toEqual(hash)
          expect(NixHash.parse(sri, algorithm)).toEqual(hash)
          expect(NixHash.parseSri(sri)).toEqual(hash)
        }
      }),
    )
  })

  test('09 15.5 SRI texts', () => {
    expect(NixHash.parseSri(sriExample).toHex()).toBe(
      'a5ce9c155ed09397614646c9717fc7cd94b1023d7b76b618d409e4fefd6e9d39',
    )
    expect(NixHash.parseSri(unpaddedExample).toHex()).toBe(
      '7e022bdd3c851830173f9faaa006a230a0e0fdad4c953e85bff4bf0da036e12f',
    )
  })

  test.each<[string, string, HashAlgorithm | undefined, string]>([
    ['09 15.5 unpadded base64 outside SRI', unpaddedExample.slice(7), 'sha256', 'invalid-length'],
    ['09 15.5 too short', 'sha256-pc6cFV7Qk5dhRkbJcX/HzZSxAj17drYY1Ank', undefined, 'invalid-length'],
    ['09 15.5 no base64', 'sha256-invalid=base64', undefined, 'invalid-length'],
    ['09 15.5 sha384', `sha384-${'A'.repeat(64)}`, undefined, 'unknown-algorithm'],
    ['09 15.5 two hashes', `${sriExample} ${sriExample}`, undefined, 'several-hashes'],
    ['no base64, of the right length', `sha256-${'*'.repeat(43)}=`, undefined, 'invalid-encoding'],
    ['base64 for URLs', `sha256-${'_'.repeat(43)}=`, undefined, 'invalid-encoding'],
    ['a padding character within', `sha256-${'A'.repeat(42)}=A`, undefined, 'invalid-encoding'],
    ['bits beyond the digest', `sha256-${'A'.repeat(42)}B=`, undefined, 'invalid-encoding'],
    ['an option', `${sriExample}?x`, undefined, 'invalid-length'],
    ['a trailing blank', `${sriExample} `, undefined, 'invalid-length'],
    [
      'no algorithm',
      'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
      undefined,
      'missing-algorithm',
    ],
    ['empty', '', undefined, 'missing-algorithm'],
    ['empty, with an algorithm', '', 'md5', 'invalid-length'],
    ['another algorithm', `sha256:${'0'.repeat(52)}`, 'sha1', 'algorithm-mismatch'],
    ['another algorithm in SRI', sriExample, 'sha512', 'algorithm-mismatch'],
    ['upper-case algorithm', `SHA256:${'0'.repeat(52)}`, undefined, 'unknown-algorithm'],
    ['an empty algorithm', `:${'0'.repeat(52)}`, undefined, 'unknown-algorithm'],
    ['blake3', `blake3:${'0'.repeat(52)}`, undefined, 'unknown-algorithm'],
    ['a prototype member for an algorithm', `constructor:${'0'.repeat(52)}`, undefined, 'unknown-algorithm'],
    ['an empty digest', 'sha256:', undefined, 'invalid-length'],
    ['hex with a wrong digit', `sha256:${'g'.repeat(64)}`, undefined, 'invalid-encoding'],
    ['nixbase32 with a wrong digit', `sha256:${'e'.repeat(52)}`, undefined, 'invalid-encoding'],
    ['nixbase32 with a carry', `sha256:${'z'.repeat(52)}`, undefined, 'invalid-encoding'],
    ['base64 with a wrong digit', `sha256:${'.'.repeat(43)}=`, undefined, 'invalid-encoding'],
    ['two algorithms', `sha256:sha256:${'0'.repeat(52)}`, undefined, 'invalid-length'],
    [
      'the digest of another algorithm',
      'sha256:da39a3ee5e6b4b0d3255bfef95601890afd80709',
      undefined,
      'invalid-length',
    ],
  ])('%s is refused', (_, text, algorithm, code) => {
    const error = refusal(NixHashError, () => NixHash.parse(text, algorithm))
    expect(error.code).toBe(code)
    expect(error.message).toMatch(/^hash: expected .*, got /s)
  })

  test('a digest of another length is refused', () => {
    expect(refusal(NixHashError, () => new NixHash('sha256', new Uint8Array(20))).code).toBe('invalid-length')
  })

  test('the digest is copied', () => {
    const bytes = new Uint8Array(16)
    const hash = new NixHash('md5', bytes)
    bytes.fill(1)
    expect(hash.toHex()).toBe('0'.repeat(32))
  })

  test('equality takes the algorithm and the digest', () => {
    const hash = NixHash.of('sha1', utf8('a'))
    expect(hash.equals(NixHash.parse(hash.toSri()))).toBe(true)
    expect(hash.equals(NixHash.of('sha1', utf8('b')))).toBe(false)
    expect(hash.equals(NixHash.of('md5', utf8('a')))).toBe(false)
  })

  test('fuzz: any text is refused, or gives a hash that prints and reads back', () => {
    const seed = fc.oneof(
      fc.constantFrom(sriExample, unpaddedExample, `sha1:${'0'.repeat(32)}`, `md5:${'a'.repeat(32)}`),
      anyText(60),
    )
    const mutated = fc
      .tuple(seed, fc.nat(100), fc.nat(2), anyText(2))
      .map(([text, at, cut, insert]) => text.slice(0, at) + insert + text.slice(at + cut))
    fc.assert(
      fc.property(mutated, fc.option(anyAlgorithm, { nil: undefined }), (text, algorithm) => {
        for (const parse of [NixHash.parse, NixHash.parseSri]) {
          const hash = acceptedOr(NixHashError, () => parse(text, algorithm))
          if (hash !== undefined) expect(NixHash.parse(hash.toNix())).toEqual(hash)
        }
      }),
      { numRuns: 3000 },
    )
  })
})

describe('hashing', () => {
  test('the browser’s and Node’s implementations agree with each other and with openssl', () => {
    fc.assert(
      fc.property(anyAlgorithm, fc.array(fc.uint8Array({ maxLength: 300 })), (algorithm, pieces) => {
        const whole = Buffer.concat(pieces)
        const expected = createHash(algorithm).update(whole).digest('hex')
        for (const platform of [plain, native]) {
          const stream = platform.digestStream(algorithm)
          for (const piece of pieces) stream.update(piece)
          expect(toHex(stream.digest())).toBe(expected)
          expect(toHex(platform.digest(algorithm, whole))).toBe(expected)
        }
      }),
    )
  })

  test('in pieces as in one', () => {
    const hasher = new NixHasher('sha256').update(utf8('Hello ')).update(utf8('World!'))
    expect(hasher.finish()).toEqual(NixHash.of('sha256', utf8('Hello World!')))
  })
})
