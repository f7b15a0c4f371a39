import { B3Digest, Directory, type Node, PathComponent, SymlinkTarget } from '@neve/castore-model'
import fc from 'fast-check'

const byte = fc.oneof(fc.integer({ min: 1, max: 255 }), fc.constantFrom(0x61, 0x62, 0x2e, 0xff))

export const anyDigest: fc.Arbitrary<B3Digest> = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map((bytes) => B3Digest.from(bytes))

const interesting = fc.constantFrom(
  0n,
  1n,
  127n,
  128n,
  2n ** 32n,
  2n ** 49n - 1n,
  2n ** 53n + 1n,
  2n ** 63n,
  2n ** 64n - 1n,
)

/** Sizes of files: all of 64 bits. */
export const anySize: fc.Arbitrary<bigint> = fc.oneof(
  fc.bigInt(0n, 2n ** 20n),
  fc.bigInt(0n, 2n ** 64n - 1n),
  interesting,
)

export const anyName: fc.Arbitrary<PathComponent> = fc
  .oneof(
    { weight: 9, arbitrary: fc.array(byte, { minLength: 1, maxLength: 12 }) },
    { weight: 1, arbitrary: fc.array(byte, { minLength: 120, maxLength: 255 }) },
  )
  .map((codes) => Uint8Array.from(codes, (code) => (code === 0x2f ? 0x30 : code)))
  .filter(
    (bytes) => !(bytes[0] === 0x2e && (bytes.length === 1 || (bytes.length === 2 && bytes[1] === 0x2e))),
  )
  .map((bytes) => PathComponent.from(bytes))

export const anyNode: fc.Arbitrary<Node> = fc.oneof(
  fc.record({ kind: fc.constant('directory' as const), digest: anyDigest, size: fc.bigInt(0n, 2n ** 58n) }),
  fc.record({
    kind: fc.constant('file' as const),
    digest: anyDigest,
    size: anySize,
    executable: fc.boolean(),
  }),
  fc.record({
    kind: fc.constant('symlink' as const),
    target: fc
      .array(byte, { minLength: 1, maxLength: 200 })
      .map((codes) => SymlinkTarget.from(Uint8Array.from(codes))),
  }),
)

/** Entries with unique names, in no order. */
export const anyEntries: fc.Arbitrary<[PathComponent, Node][]> = fc.uniqueArray(fc.tuple(anyName, anyNode), {
  selector: ([name]) => name.key,
  maxLength: 24,
})

export const anyDirectory: fc.Arbitrary<Directory> = anyEntries.map((entries) =>
  Directory.fromEntries(entries),
)
