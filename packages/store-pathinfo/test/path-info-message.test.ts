import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { snix } from '../src/generated/store-proto.js'
import { type PathInfoMessage, readPathInfoMessage, writePathInfoMessage } from '../src/path-info-message.js'

const bytes = fc.uint8Array({ maxLength: 40 })
const named = fc.record({ name: fc.string({ unit: 'grapheme', maxLength: 20 }), bytes })
const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined })
const narInfo = fc.record({
  narSize: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  narSha256: bytes,
  signatures: fc.array(named, { maxLength: 3 }),
  referenceNames: fc.array(fc.string({ maxLength: 20 }), { maxLength: 3 }),
  deriver: optional(named),
  ca: optional(fc.record({ type: fc.integer({ min: 0, max: 8 }), digest: bytes })),
})
const entry = bytes.map((target) => snix.castore.v1.Entry.encode({ symlink: { target } }).finish())
const message: fc.Arbitrary<PathInfoMessage> = fc.record({
  entry: optional(entry.map((encoded) => new Uint8Array(encoded))),
  references: fc.array(bytes, { maxLength: 3 }),
  narInfo: optional(narInfo),
})

/** What the library makes of it, in our form. */
function byLibrary(encoded: Uint8Array): PathInfoMessage {
  const { entry, references, narinfo } = snix.store.v1.PathInfo.decode(encoded)
  const plain = (value: Uint8Array | null | undefined) => new Uint8Array(value ?? [])
  const one = (value: { name?: string | null; data?: Uint8Array | null; digest?: Uint8Array | null }) => ({
    name: value.name ?? '',
    bytes: plain(value.data ?? value.digest),
  })
  return {
    entry: entry ? new Uint8Array(snix.castore.v1.Entry.encode(entry).finish()) : undefined,
    references: (references ?? []).map(plain),
    narInfo: narinfo
      ? {
          narSize: BigInt(String(narinfo.nar_size ?? 0)),
          narSha256: plain(narinfo.nar_sha256),
          signatures: (narinfo.signatures ?? []).map(one),
          referenceNames: narinfo.reference_names ?? [],
          deriver: narinfo.deriver ? one(narinfo.deriver) : undefined,
          ca: narinfo.ca ? { type: narinfo.ca.type ?? 0, digest: plain(narinfo.ca.digest) } : undefined,
        }
      : undefined,
  }
}

describe('the message PathInfo', () => {
  it('is read as it was written, by us and by protobufjs', () => {
    fc.assert(
      fc.property(message, (written) => {
        const encoded = writePathInfoMessage(written)
        expect(readPathInfoMessage(encoded)).toEqual(written)
        expect(byLibrary(encoded)).toEqual(written)
      }),
    )
  })

  it('comes in parts that are one', () => {
    fc.assert(
      fc.property(narInfo, narInfo, (first, second) => {
        const parts = [first, second].map((narInfo) =>
          writePathInfoMessage({ entry: undefined, references: [], narInfo }),
        )
        const both = readPathInfoMessage(Buffer.concat(parts)).narInfo
        expect(both?.signatures).toEqual([...first.signatures, ...second.signatures])
        expect(both?.narSize).toBe(second.narSize === 0n ? first.narSize : second.narSize)
      }),
    )
  })

  it('is refused where it cannot be read, and nothing else happens', () => {
    fc.assert(
      fc.property(message, fc.nat(), fc.integer({ min: 0, max: 255 }), (written, at, byte) => {
        const encoded = writePathInfoMessage(written)
        if (encoded.length > 0) encoded[at % encoded.length] = byte
        try {
          readPathInfoMessage(encoded)
        } catch (error) {
          expect(error).toHaveProperty('name', 'MalformedMessageError')
        }
      }),
    )
  })
})
