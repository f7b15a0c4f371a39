import {
  B3Digest,
  CastoreModelError,
  InvalidDigestLengthError,
  InvalidDigestTextError,
} from '@neve/castore-model'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { BLOB_A, BLOB_B, DUMMY_DIGEST, DUMMY_DIGEST_2, HELLOWORLD_BLOB_CONTENTS, hex } from './fixtures.js'

const HELLO_HEX = '5ca7815adcb484e9a136c11efe69c1d530176d549b5d18d038eb5280b4b3470c'
const HELLO_BASE64 = 'XKeBWty0hOmhNsEe/mnB1TAXbVSbXRjQOOtSgLSzRww='
const hello = B3Digest.of(HELLOWORLD_BLOB_CONTENTS)
const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 })

describe('B3Digest (spec 01 sections 2 and 11.1)', () => {
  it.each([
    [new Uint8Array(0), 'b3:rxNJufX5oaagQE3qNtzJSZvLJcmtwRK3zJqTyuQfMmI='],
    [HELLOWORLD_BLOB_CONTENTS, `b3:${HELLO_BASE64}`],
    [BLOB_A, 'b3:e3AVu5LPCzGAN3AqbN2B3uQSJPc0aEwsEizWNZyx7mM='],
    [BLOB_B, 'b3:qCxRVKegwmLG/bkpoxdYVkb4+8+AMm0Ke4dH7a8tmdI='],
  ])('text forms of blob %#', (content, text) => {
    expect(B3Digest.of(content).toString()).toBe(text)
    expect(text).toHaveLength(47)
    expect(B3Digest.parse(text).equals(B3Digest.of(content))).toBe(true)
  })

  it('text forms of the dummies', () => {
    expect(DUMMY_DIGEST.toString()).toBe('b3:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=')
    expect(DUMMY_DIGEST_2.toString()).toBe('b3:EAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=')
  })

  it('has every form', () => {
    expect(hello.toHex()).toBe(HELLO_HEX)
    expect(hello.toSri()).toBe(`blake3-${HELLO_BASE64}`)
    expect(hello.toBase64()).toBe(HELLO_BASE64)
    expect(hello.toBase64Url()).toBe('XKeBWty0hOmhNsEe_mnB1TAXbVSbXRjQOOtSgLSzRww')
    expect(JSON.stringify({ digest: hello })).toBe(`{"digest":"blake3-${HELLO_BASE64}"}`)
    expect(hex(hello.bytes)).toBe(HELLO_HEX)
    expect(B3Digest.EMPTY.equals(B3Digest.of(new Uint8Array(0)))).toBe(true)
  })

  it.each([`b3:${HELLO_BASE64}`, `blake3-${HELLO_BASE64}`, HELLO_HEX, HELLO_HEX.toUpperCase()])(
    'parses %s',
    (text) => {
      expect(B3Digest.parse(text).equals(hello)).toBe(true)
    },
  )

  it.each([
    ['nothing', ''],
    ['no prefix', HELLO_BASE64],
    ['another hash', `sha256-${HELLO_BASE64}`],
    ['upper-case prefix', `B3:${HELLO_BASE64}`],
    ['the other separator', `b3-${HELLO_BASE64}`],
    ['prefix only', 'b3:'],
    ['no padding', `b3:${HELLO_BASE64.slice(0, -1)}`],
    ['doubled padding', `b3:${HELLO_BASE64.slice(0, -2)}==`],
    ['unused bits set', `b3:${HELLO_BASE64.replace('w=', 'x=')}`],
    ['url-safe alphabet', `b3:${HELLO_BASE64.replace('/', '_')}`],
    ['33 bytes', `b3:${Buffer.alloc(33).toString('base64')}`],
    ['31 bytes', `b3:${Buffer.alloc(31).toString('base64')}`],
    ['padding inside', `b3:${HELLO_BASE64.slice(0, 20)}=${HELLO_BASE64.slice(21)}`],
    ['not ASCII', `b3:é${HELLO_BASE64.slice(1)}`],
    ['a space before', ` b3:${HELLO_BASE64}`],
    ['a newline after', `b3:${HELLO_BASE64}\n`],
    ['hex and a newline', `${HELLO_HEX}\n`],
    ['63 hex digits', HELLO_HEX.slice(1)],
    ['65 hex digits', `${HELLO_HEX}0`],
    ['a letter that is no hex digit', `${HELLO_HEX.slice(1)}g`],
  ])('refuses %s', (_, text) => {
    expect(() => B3Digest.parse(text)).toThrow(InvalidDigestTextError)
  })

  it('parses its own text and throws its own error for the rest', () => {
    fc.assert(
      fc.property(bytes32, (bytes) => {
        const digest = B3Digest.from(bytes)
        for (const text of [digest.toString(), digest.toSri(), digest.toHex()]) {
          expect(B3Digest.parse(text).equals(digest)).toBe(true)
        }
        expect(digest.toBase64()).toBe(Buffer.from(bytes).toString('base64'))
        expect(digest.toBase64Url()).toBe(Buffer.from(bytes).toString('base64url'))
      }),
    )
    const mutated = fc
      .tuple(
        fc.constantFrom(hello.toString(), hello.toSri(), hello.toHex()),
        fc.nat(70),
        fc.string({ unit: 'binary', maxLength: 3 }),
        fc.nat(3),
      )
      .map(([text, at, inserted, removed]) => text.slice(0, at) + inserted + text.slice(at + removed))
    fc.assert(
      fc.property(
        fc.oneof(
          mutated,
          fc.string(),
          fc.base64String().map((text) => `b3:${text}`),
        ),
        (text) => {
          try {
            const digest = B3Digest.parse(text)
            expect([digest.toString(), digest.toSri(), digest.toHex()]).toContain(
              text.length === 64 ? text.toLowerCase() : text,
            )
          } catch (error) {
            expect(error).toBeInstanceOf(InvalidDigestTextError)
          }
        },
      ),
      { numRuns: 3000 },
    )
  })

  it.each([0, 1, 31, 33, 64])('refuses %i bytes', (length) => {
    for (const make of [B3Digest.from, B3Digest.adopt]) {
      try {
        make(new Uint8Array(length))
        expect.unreachable()
      } catch (error) {
        expect(error).toBeInstanceOf(InvalidDigestLengthError)
        expect(error).toBeInstanceOf(CastoreModelError)
        expect(error).toMatchObject({
          name: 'InvalidDigestLengthError',
          code: 'INVALID_DIGEST_LENGTH',
          actual: length,
          expected: 32,
          message: `invalid digest length: ${length}`,
        })
      }
    }
  })

  it('from copies, adopt does not', () => {
    const bytes = new Uint8Array(32)
    const [copy, adopted] = [B3Digest.from(bytes), B3Digest.adopt(bytes)]
    bytes[0] = 1
    expect(copy.bytes[0]).toBe(0)
    expect(adopted.bytes).toBe(bytes)
  })

  it('keys are equal and order is bytewise exactly as the bytes are', () => {
    const few = fc.array(fc.constantFrom(0, 1, 127, 128, 255), { minLength: 32, maxLength: 32 })
    fc.assert(
      fc.property(few, few, (a, b) => {
        const [x, y] = [B3Digest.from(Uint8Array.from(a)), B3Digest.from(Uint8Array.from(b))]
        const order = Buffer.compare(Buffer.from(a), Buffer.from(b))
        expect(Math.sign(B3Digest.compare(x, y))).toBe(order)
        expect(x.key === y.key).toBe(order === 0)
        expect(x.equals(y)).toBe(order === 0)
        expect(Buffer.from(x.key, 'latin1').equals(Buffer.from(a))).toBe(true)
      }),
    )
  })
})
