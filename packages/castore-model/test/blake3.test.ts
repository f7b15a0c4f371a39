import { blake3, HasherFinishedError } from '@neve/castore-model'
import { nativeBlake3 } from '@neve/castore-model/blake3/native'
import { wasmBlake3 } from '@neve/castore-model/blake3/wasm'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { BLOB_A, BLOB_B, DUMMY_DATA_1, DUMMY_DATA_2, HELLOWORLD_BLOB_CONTENTS, hex } from './fixtures.js'

const vectors: [string, Uint8Array, string][] = [
  ['empty', new Uint8Array(0), 'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262'],
  [
    'Hello World!',
    HELLOWORLD_BLOB_CONTENTS,
    '5ca7815adcb484e9a136c11efe69c1d530176d549b5d18d038eb5280b4b3470c',
  ],
  ['BLOB_A', BLOB_A, '7b7015bb92cf0b318037702a6cdd81dee41224f734684c2c122cd6359cb1ee63'],
  ['BLOB_B', BLOB_B, 'a82c5154a7a0c262c6fdb929a317585646f8fbcf80326d0a7b8747edaf2d99d2'],
  ['DUMMY_DATA_1', DUMMY_DATA_1, 'b177ec1bf26dfb3b7010d473e6d44713b29b765b99c6e60ecbfae742de496543'],
  ['DUMMY_DATA_2', DUMMY_DATA_2, '5f805527aa94f2a9a3a782cad8cc18b63cf6017e7bc65ca96aeada8392d4c525'],
]

const native = nativeBlake3
if (native === undefined) throw new Error('these tests need the native addon')

/** Bytes without a short period, the same every time. */
function bytesOf(length: number): Uint8Array {
  const out = new Uint8Array(length)
  let state = length | 1
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    out[i] = state >>> 24
  }
  return out
}

describe.each([
  ['native', native],
  ['wasm', wasmBlake3],
] as const)('BLAKE3, %s', (implementation, subject) => {
  it('says what it is', () => {
    expect(subject.implementation).toBe(implementation)
  })

  it.each(vectors)('digests %s (spec 01 section 11.1)', (_, content, digest) => {
    expect(hex(subject.digest(content))).toBe(digest)
    expect(hex(subject.hasher().update(content).digest())).toBe(digest)
  })

  it('refuses to be used after the digest was taken', () => {
    const hasher = subject.hasher()
    hasher.digest()
    expect(() => hasher.digest()).toThrow(HasherFinishedError)
    expect(() => hasher.update(BLOB_A)).toThrow(HasherFinishedError)
  })

  it('keeps open hashers apart, and apart from one-shot digests', () => {
    const hashers = Array.from({ length: 200 }, () => subject.hasher())
    for (const [i, hasher] of hashers.entries()) hasher.update(Uint8Array.of(i))
    subject.digest(BLOB_B)
    for (const hasher of hashers) hasher.update(DUMMY_DATA_1)
    for (const [i, hasher] of hashers.entries()) {
      expect(hex(hasher.digest())).toBe(hex(subject.digest(Uint8Array.of(i, ...DUMMY_DATA_1))))
    }
  })

  it('gives every caller an array of its own', () => {
    const first = subject.digest(BLOB_A)
    const before = hex(first)
    subject.digest(BLOB_B).fill(0)
    expect(hex(first)).toBe(before)
    expect(first).toHaveLength(32)
    expect(first.buffer.byteLength).toBe(32)
  })

  it('takes views, Buffers and shared memory', () => {
    const shared = new Uint8Array(new SharedArrayBuffer(6))
    shared.set([9, 0, 1, 9, 9, 9])
    const digest = hex(subject.digest(BLOB_A))
    expect(hex(subject.digest(shared.subarray(1, 3)))).toBe(digest)
    expect(hex(subject.digest(Buffer.from([9, 0, 1, 9]).subarray(1, 3)))).toBe(digest)
  })
})

describe('both implementations', () => {
  it('is native here', () => {
    expect(blake3.implementation).toBe('native')
  })

  const boundaries = [
    0, 1, 63, 64, 65, 127, 128, 1023, 1024, 1025, 2047, 2048, 2049, 3072, 4096, 8191, 8192, 8193,
  ]
  const large = [16384, 31744, 65535, 65536, 65537, 131072, 262143, 1048575, 1048576]

  it.each([...boundaries, ...large])('agree on %i bytes', (length) => {
    const content = bytesOf(length)
    expect(hex(wasmBlake3.digest(content))).toBe(hex(native.digest(content)))
  })

  it('agree however the input is split', () => {
    const splits = fc.array(fc.oneof(fc.nat(130), fc.nat(70_000), fc.constantFrom(64, 1024, 65536)), {
      maxLength: 12,
    })
    fc.assert(
      fc.property(fc.oneof(fc.nat(5000), fc.nat(1 << 20)), splits, (length, pieces) => {
        const content = bytesOf(length)
        const hashers = [native.hasher(), wasmBlake3.hasher()]
        let at = 0
        for (const piece of pieces) {
          for (const hasher of hashers) hasher.update(content.subarray(at, at + piece))
          at = Math.min(length, at + piece)
        }
        for (const hasher of hashers) hasher.update(content.subarray(at))
        const expected = hex(native.digest(content))
        expect(hashers.map((hasher) => hex(hasher.digest()))).toEqual([expected, expected])
      }),
      { numRuns: 60 },
    )
  })
})
