import { B3Digest, encodeStatBlobResponse, InvalidSizeError } from '@neve/castore-model'
import { snix } from '@neve/castore-model/proto'
import type { ChunkMeta } from '@neve/castore-services'
import { normalizedBlobList, trustedBlobList } from '@neve/castore-services/split'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  decodeGetBlobResponse,
  decodePutBlobRequest,
  encodeGetBlobResponse,
  encodePutBlobRequest,
} from '../src/grpc/blob-meta.js'
import { CHUNK_STORE_GRPC_SERVICE } from '../src/grpc/split-definitions.js'

const v1 = snix.castore.v1
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const A = B3Digest.parse('7b7015bb92cf0b318037702a6cdd81dee41224f734684c2c122cd6359cb1ee63')

const digests = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => B3Digest.from(bytes))
const lists: fc.Arbitrary<ChunkMeta[]> = fc.array(
  fc.record({ digest: digests, size: fc.bigInt(0n, 2n ** 64n - 1n) }),
  { maxLength: 6 },
)

/** Runs a decoder: what it refuses, it refuses by name. */
function attempt<T>(decode: () => T): T | undefined {
  try {
    return decode()
  } catch (error) {
    expect(error).toMatchObject({ code: expect.stringMatching(/^(invalid-request|data-loss)$/) })
    return undefined
  }
}

describe('messages of the split services (spec 10 section 1)', () => {
  it('have the bytes that the definitions say', () => {
    const list = [{ digest: A, size: 2n }]
    const meta = `12240a20${A.toHex()}1002`
    expect(hex(encodeGetBlobResponse(list))).toBe(`0a26${meta}`)
    expect(hex(encodeGetBlobResponse([]))).toBe('0a00')
    expect(hex(encodePutBlobRequest({ digest: A, chunks: list }))).toBe(`0a20${A.toHex()}1226${meta}`)
    for (const message of [
      v1.StatChunkRequest,
      v1.GetChunkRequest,
      v1.BSStatBlobRequest,
      v1.GetBlobRequest,
    ]) {
      expect(hex(message.encode({ digest: A.bytes }).finish())).toBe(`0a20${A.toHex()}`)
    }
    for (const message of [v1.GetChunkResponse, v1.PutChunkRequest]) {
      expect(hex(message.encode({ data: Uint8Array.of(0, 1) }).finish())).toBe('0a020001')
    }
    for (const message of [v1.StatChunkResponse, v1.BSStatBlobResponse, v1.BSPutBlobResponse]) {
      expect(message.encode({}).finish()).toHaveLength(0)
    }
    expect(hex(v1.PutChunkResponse.encode({ digest: A.bytes }).finish())).toBe(`0a20${A.toHex()}`)
  })

  it('10#3 a list has the bytes that it has in a StatBlobResponse', () => {
    fc.assert(
      fc.property(lists, (list) => {
        const meta = encodeStatBlobResponse(list)
        const message = encodeGetBlobResponse(list)
        expect(hex(message).endsWith(hex(meta))).toBe(true)
        expect(hex(v1.BlobMeta.encode(v1.BlobMeta.decode(meta)).finish())).toBe(hex(meta))
      }),
    )
  })

  it('sizes outside 64 bits are not written', () => {
    for (const size of [-1n, 2n ** 64n]) {
      expect(() => encodeGetBlobResponse([{ digest: A, size }])).toThrow(InvalidSizeError)
    }
  })

  it('come back as they were written', () => {
    fc.assert(
      fc.property(digests, lists, (digest, chunks) => {
        expect(decodeGetBlobResponse(encodeGetBlobResponse(chunks))).toEqual(chunks)
        expect(decodePutBlobRequest(encodePutBlobRequest({ digest, chunks }))).toEqual({ digest, chunks })
      }),
    )
  })

  it.each([
    ['no bytes', ''],
    ['no digest', '1200'],
    ['a digest of 31 bytes', `0a1f${'00'.repeat(31)}1200`],
    ['no list', `0a20${A.toHex()}`],
    ['a list that is cut', `0a20${A.toHex()}1226120a`],
    ['a digest in the list of 33 bytes', `0a20${A.toHex()}122512230a21${'00'.repeat(33)}`],
    ['no digest in the list', `0a20${A.toHex()}121212021001`.slice(0, 78)],
    ['a group that does not end', `0a20${A.toHex()}1b`],
    ['a field of number 0', '0200'],
    ['a varint of 11 bytes', `08${'ff'.repeat(11)}`],
  ])('10#1 what is no PutBlobRequest is refused: %s', (_name, text) => {
    const decode = () => decodePutBlobRequest(Buffer.from(text, 'hex'))
    expect(decode).toThrow(expect.objectContaining({ name: 'CastoreError', code: 'invalid-request' }))
  })

  it('any bytes are refused by name, or taken', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        attempt(() => decodeGetBlobResponse(bytes))
        attempt(() => decodePutBlobRequest(bytes))
      }),
      { numRuns: 2000 },
    )
  })

  it('good messages with changed, cut and inserted bytes are refused by name, or taken as lists that hold', () => {
    const change = fc.tuple(fc.nat(400), fc.nat(255), fc.constantFrom('set', 'cut', 'insert'))
    fc.assert(
      fc.property(
        digests,
        lists,
        fc.array(change, { minLength: 1, maxLength: 4 }),
        (digest, chunks, changes) => {
          for (const put of [true, false]) {
            let bytes: Uint8Array = put
              ? encodePutBlobRequest({ digest, chunks })
              : encodeGetBlobResponse(chunks)
            for (const [at, byte, how] of changes) {
              const place = at % (bytes.length + 1)
              const rest = bytes.subarray(how === 'insert' ? place : place + 1)
              bytes = Buffer.concat([
                bytes.subarray(0, place),
                ...(how === 'cut' ? [] : [Buffer.of(byte)]),
                rest,
              ])
            }
            const list = attempt(() =>
              put ? decodePutBlobRequest(bytes).chunks : decodeGetBlobResponse(bytes),
            )
            if (list === undefined) continue
            for (const check of [
              () => normalizedBlobList(digest, list),
              () => trustedBlobList(digest, list, 'peer'),
            ]) {
              const checked = attempt(check)
              expect(checked?.every(({ size }) => size > 0n)).not.toBe(false)
            }
          }
        },
      ),
      { numRuns: 2000 },
    )
  })

  it('the data of chunks: any bytes are taken, or refused with an error', () => {
    const { GetChunk, PutChunk } = CHUNK_STORE_GRPC_SERVICE.generations.get('snix')!
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        for (const decode of [GetChunk.responseDeserialize, PutChunk.requestDeserialize]) {
          let data: Uint8Array | undefined
          let expected: Uint8Array | undefined
          try {
            expected = v1.GetChunkResponse.decode(bytes).data
          } catch {}
          try {
            data = decode(bytes)
          } catch (error) {
            expect(error).toBeInstanceOf(Error)
          }
          expect(data === undefined ? undefined : hex(data)).toBe(
            expected === undefined ? undefined : hex(expected),
          )
        }
      }),
      { numRuns: 2000 },
    )
    for (const length of [0, 1, 127, 128, 16_383, 16_384, 2 * 1024 * 1024]) {
      const data = new Uint8Array(length).fill(7)
      expect(hex(GetChunk.responseSerialize(data))).toBe(hex(v1.GetChunkResponse.encode({ data }).finish()))
    }
  })
})
