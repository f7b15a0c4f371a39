import {
  B3Digest,
  decodeStatBlobResponse,
  encodeStatBlobResponse,
  InvalidSizeError,
  MalformedMessageError,
  parseStatBlobResponse,
  ValidateStatBlobResponseError,
  validateStatBlobResponse,
} from '@neve/castore-model'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { BLOB_A, DUMMY_DIGEST, hex, unhex } from './fixtures.js'

const A = B3Digest.of(BLOB_A)
const ONE = `12240a20${A.toHex()}1002`
const MAX = 2n ** 64n - 1n

const chunk = (size: bigint, length = 32) => ({ digest: new Uint8Array(length), size })

describe('StatBlobResponse (spec 01 sections 7.2, 9.1 and 11.3; spec 02 section 5)', () => {
  it('is encoded as the vector', () => {
    expect(hex(encodeStatBlobResponse([{ digest: A, size: 2n }]))).toBe(ONE)
    expect(decodeStatBlobResponse(unhex(ONE))).toEqual([{ digest: A, size: 2n }])
    expect(hex(parseStatBlobResponse(unhex(`${ONE}1a0161`)).bao)).toBe('61')
  })

  it('no chunks are zero bytes, and valid', () => {
    expect(encodeStatBlobResponse([])).toHaveLength(0)
    expect(decodeStatBlobResponse(new Uint8Array(0), { blobSize: 5n })).toEqual([])
  })

  it('omits a size of 0, and refuses to read it', () => {
    const bytes = encodeStatBlobResponse([{ digest: A, size: 0n }])
    expect(hex(bytes)).toBe(`12220a20${A.toHex()}`)
    expect(() => decodeStatBlobResponse(bytes)).toThrow(
      expect.objectContaining({ kind: 'EmptyChunk', index: 0 }),
    )
  })

  it.each([
    [[chunk(1n, 31)], 'InvalidDigestLen', 0, 31, 'invalid digest length 31 for chunk #0'],
    [
      [chunk(1n), chunk(0n, 0), chunk(1n, 1)],
      'InvalidDigestLen',
      1,
      0,
      'invalid digest length 0 for chunk #1',
    ],
    [[chunk(1n), chunk(0n)], 'EmptyChunk', 1, 0n, undefined],
    [[chunk(MAX), chunk(1n)], 'SizeOverflow', 1, MAX + 1n, undefined],
    [[chunk(1n), chunk(2n)], 'SizeMismatch', undefined, 3n, undefined],
  ] as const)('refuses %#', (chunks, kind, index, actual, message) => {
    const run = () => validateStatBlobResponse({ chunks }, { blobSize: 4n })
    expect(run).toThrow(ValidateStatBlobResponseError)
    expect(run).toThrow(
      expect.objectContaining({ kind, index, actual, ...(message === undefined ? {} : { message }) }),
    )
  })

  it('takes a sum of 2^64−1, and one that is the size of the blob', () => {
    expect(validateStatBlobResponse({ chunks: [chunk(MAX - 1n), chunk(1n)] })).toHaveLength(2)
    expect(validateStatBlobResponse({ chunks: [chunk(3n), chunk(1n)] }, { blobSize: 4n })).toHaveLength(2)
  })

  it('refuses to write sizes outside 64 bits', () => {
    for (const size of [-1n, MAX + 1n]) {
      expect(() => encodeStatBlobResponse([{ digest: DUMMY_DIGEST, size }])).toThrow(InvalidSizeError)
    }
  })

  it('reads back what it writes; other bytes are refused by name', () => {
    const chunks = fc.array(
      fc.tuple(fc.uint8Array({ minLength: 32, maxLength: 32 }), fc.bigInt(1n, 2n ** 60n)),
      { maxLength: 8 },
    )
    fc.assert(
      fc.property(chunks, fc.nat(300), fc.nat(255), (list, at, byte) => {
        const metas = list.map(([digest, size]) => ({ digest: B3Digest.from(digest), size }))
        const bytes = encodeStatBlobResponse(metas)
        expect(decodeStatBlobResponse(bytes)).toEqual(metas)
        if (bytes.length > 0) bytes[at % bytes.length] = byte
        try {
          decodeStatBlobResponse(bytes)
        } catch (error) {
          const own = error instanceof MalformedMessageError || error instanceof ValidateStatBlobResponseError
          expect(own).toBe(true)
        }
      }),
      { numRuns: 1000 },
    )
  })
})
