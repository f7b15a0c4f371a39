import { B3Digest, type Node } from '@neve/castore-model'
import { Signature, StorePath } from '@neve/nix-compat'
import { decodePathInfo, encodePathInfo, type PathInfo, StoreError } from '@neve/store-pathinfo'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  build,
  ca,
  DUMMY,
  deriver,
  directoryNode,
  PATH_INFO_SYMLINK,
  signature,
  symlinkNode,
  WITH_NARINFO,
  WITHOUT_NARINFO,
  ZEROS,
} from './path-info-messages.js'
import { hex } from './support.js'

describe('07 section 4.1 path infos that are refused', () => {
  it('what the table starts from is accepted', () => {
    const info = decodePathInfo(
      build({ signatures: [signature(64)], deriver: deriver('a.drv', 20), ca: ca(0n, 32) }),
    )
    expect(info.deriver?.name).toBe('a.drv')
  })

  const other = StorePath.parse('00bgd045z0d4icpbc2yyz4gx48ak44la-net-tools')
  const rows: [string, string, Uint8Array][] = [
    ['0 no narinfo', 'NarInfoFieldMissing', hex(WITHOUT_NARINFO)],
    ['0 nothing at all', 'NarInfoFieldMissing', new Uint8Array(0)],
    ...[0, 19, 21, 32].map((length): [string, string, Uint8Array] => [
      `1 reference of ${length} bytes`,
      'InvalidReferenceDigestLen',
      build({ references: [ZEROS(length)] }),
    ]),
    ...[0, 31, 33].map((length): [string, string, Uint8Array] => [
      `2 nar_sha256 of ${length} bytes`,
      'InvalidNarSha256DigestLen',
      build({ narSha256: ZEROS(length) }),
    ]),
    ['3 a name more', 'InconsistentNumberOfReferences', build({ references: [] })],
    ['3 a name less', 'InconsistentNumberOfReferences', build({ names: [] })],
    ['4 a name that is none', 'InvalidNarinfoReferenceName', build({ names: ['nonsense'] })],
    ['4 an absolute name', 'InvalidNarinfoReferenceName', build({ names: [DUMMY.toAbsolute()] })],
    [
      '5 a name of another digest',
      'InconsistentNarinfoReferenceNameDigest',
      build({ names: [other.toString()] }),
    ],
    ['6 deriver with a short digest', 'InvalidDeriverField', build({ deriver: deriver('a', 19) })],
    ['6 deriver with a bad name', 'InvalidDeriverField', build({ deriver: deriver('a/b', 20) })],
    ['6 deriver without a name', 'InvalidDeriverField', build({ deriver: deriver('', 20) })],
    [
      '6 deriver, without references',
      'InvalidDeriverField',
      build({ references: [], names: [], deriver: deriver('a', 1) }),
    ],
    ['7 no node', 'NoEntryPresent', build({ node: undefined })],
    ['7 a node of no kind', 'InvalidRootNode', build({ node: new Uint8Array(0) })],
    [
      '8 a digest of 31 bytes',
      'InvalidRootNode',
      build({ node: directoryNode(DUMMY.toString(), ZEROS(31)) }),
    ],
    ['8 an empty target', 'InvalidRootNode', build({ node: symlinkNode(DUMMY.toString(), '') })],
    ['8 a target with NUL', 'InvalidRootNode', build({ node: symlinkNode(DUMMY.toString(), 'a\0') })],
    [
      '8 a target too long',
      'InvalidRootNode',
      build({ node: symlinkNode(DUMMY.toString(), 'a'.repeat(4096)) }),
    ],
    ...['', '.', '..', 'a/b', 'a\0b', 'a'.repeat(256)].map((name): [string, string, Uint8Array] => [
      `8 the name ${JSON.stringify(name.slice(0, 9))}`,
      'InvalidRootNode',
      build({ node: directoryNode(name) }),
    ]),
    ...[
      'a',
      '00000000000000000000000000000000',
      '00000000000000000000000000000000-',
      `${'e'.repeat(32)}-a`,
    ].map((name): [string, string, Uint8Array] => [
      `9 the name ${name}`,
      'InvalidNodeName',
      build({ node: directoryNode(name) }),
    ]),
    [
      '9 a name that is no text',
      'InvalidNodeName',
      build({ node: symlinkNode(Uint8Array.of(0xff, 0xfe), 'x') }),
    ],
    ...[0, 63, 65].map((length): [string, string, Uint8Array] => [
      `10 signature of ${length} bytes`,
      'InvalidSignature',
      build({ signatures: [signature(64), signature(length)] }),
    ]),
    ['10 signature without a name', 'InvalidSignature', build({ signatures: [signature(64, '')] })],
    ['10 signature with a line end', 'InvalidSignature', build({ signatures: [signature(64, 'a\nb')] })],
    ['11 ca of unknown type', 'InvalidCaField', build({ ca: ca(9n, 32) })],
    ['11 ca of a negative type', 'InvalidCaField', build({ ca: ca(2n ** 64n - 1n, 32) })],
    ...[32, 20, 64, 16, 32, 20, 16, 32, 64].map((length, kind): [string, string, Uint8Array] => [
      `11 ca of type ${kind} with ${length - 1} bytes`,
      'InvalidCaField',
      build({ ca: ca(BigInt(kind), length - 1) }),
    ]),
    ['cut', 'Malformed', hex(WITH_NARINFO).slice(0, 60)],
    ['a length beyond the end', 'Malformed', hex('0aff')],
    ['field number 0', 'Malformed', hex('0200')],
    ['a group without end', 'Malformed', hex('0b')],
    ['the end of no group', 'Malformed', hex('0c')],
    ['a cut fixed64', 'Malformed', hex('f90101')],
    ['narinfo that is no message', 'Malformed', hex('1a01ff')],
  ]

  it.each(rows)('%s: %s', (_name, reason, bytes) => {
    expect(() => decodePathInfo(bytes)).toThrow(StoreError)
    try {
      decodePathInfo(bytes)
    } catch (error) {
      expect(error).toMatchObject({ code: 'invalid-path-info', reason })
      expect((error as Error).message).toMatch(/^the path info [a-z]/)
    }
  })
})

describe('any bytes as a path info', () => {
  const accepted = (bytes: Uint8Array): boolean => {
    try {
      const info = decodePathInfo(bytes)
      expect(decodePathInfo(encodePathInfo(info))).toEqual(info)
      return true
    } catch (error) {
      expect(error).toMatchObject({
        name: 'StoreError',
        code: 'invalid-path-info',
        reason: expect.any(String),
      })
      return false
    }
  }

  it('are refused with the class of this package, or mean the same when written again', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => void accepted(bytes)),
      { numRuns: 2000 },
    )
  })

  it('made from valid ones by changing, dropping and doubling', () => {
    const full = build({ signatures: [signature(64)], deriver: deriver('a.drv', 20), ca: ca(7n, 32) })
    const seeds = [full, hex(WITH_NARINFO), hex(PATH_INFO_SYMLINK)]
    const change = fc.record({ at: fc.nat(400), byte: fc.nat(255), drop: fc.nat(3), add: fc.nat(3) })
    let good = 0
    fc.assert(
      fc.property(fc.nat(2), fc.array(change, { maxLength: 4 }), (which, changes) => {
        let bytes = Array.from(seeds[which]!)
        for (const { at, byte, drop, add } of changes) {
          bytes = bytes.toSpliced(at % (bytes.length + 1), drop, ...new Array<number>(add).fill(byte))
        }
        if (accepted(Uint8Array.from(bytes))) good++
      }),
      { numRuns: 3000 },
    )
    expect(good).toBeGreaterThan(0)
  })

  it('any path info is read back as it was written', () => {
    const storePath = fc
      .tuple(
        fc.uint8Array({ minLength: 20, maxLength: 20 }),
        fc.stringMatching(/^[a-z0-9][a-zA-Z0-9+._?=-]{0,20}$/),
      )
      .map(([digest, name]) => new StorePath(digest, name))
    const digest = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => B3Digest.from(bytes))
    const node: fc.Arbitrary<Node> = fc.oneof(
      fc.record({ kind: fc.constant('directory' as const), digest, size: fc.bigInt(0n, 2n ** 64n - 1n) }),
      fc.record({
        kind: fc.constant('file' as const),
        digest,
        size: fc.bigInt(0n, 2n ** 64n - 1n),
        executable: fc.boolean(),
      }),
    )
    const info: fc.Arbitrary<PathInfo> = fc.record({
      storePath,
      node,
      references: fc.array(storePath, { maxLength: 4 }),
      narSize: fc.bigInt(0n, 2n ** 64n - 1n),
      narSha256: fc.uint8Array({ minLength: 32, maxLength: 32 }),
      signatures: fc.array(
        fc
          .tuple(fc.stringMatching(/^[a-z0-9._-]{1,20}$/), fc.uint8Array({ minLength: 64, maxLength: 64 }))
          .map(([name, data]) => new Signature(name, data)),
        { maxLength: 3 },
      ),
      deriver: fc.option(storePath, { nil: undefined }),
      ca: fc.constant(undefined),
    })
    fc.assert(
      fc.property(info, (info) => {
        const read = decodePathInfo(encodePathInfo(info))
        expect(read.node).toEqual(info.node)
        expect({ ...read, node: 0 }).toEqual({ ...info, node: 0 })
      }),
      { numRuns: 300 },
    )
  })
})
