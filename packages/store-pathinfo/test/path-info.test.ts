import { B3Digest, type Node, SymlinkTarget } from '@neve/castore-model'
import { StorePath } from '@neve/nix-compat'
import { CaKind, decodePathInfo, encodePathInfo, type PathInfo, StoreError } from '@neve/store-pathinfo'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MessageWriter } from '../src/message.js'
import { hex, toHex } from './support.js'

const ZEROS = (length: number) => new Uint8Array(length)
const DUMMY = StorePath.parse('00000000000000000000000000000000-dummy')
const DIRECTORY: Node = { kind: 'directory', digest: B3Digest.from(ZEROS(32)), size: 0n }
const NAR_SYMLINK = hex('097d397e9b5826384eaa16c457715d1c1a51670313ead0f58566e0b232539cf1')

const WITHOUT_NARINFO =
  '0a4c0a4a0a2630303030303030303030303030303030303030303030303030303030303030302d64756d6d791220000000000000000000000000000000000000000000000000000000000000000012140000000000000000000000000000000000000000'
const WITH_NARINFO_G1 = `${WITHOUT_NARINFO}1a4a12200000000000000000000000000000000000000000000000000000000000000000222630303030303030303030303030303030303030303030303030303030303030302d64756d6d79`
const WITH_NARINFO = `${WITHOUT_NARINFO}1a6e12200000000000000000000000000000000000000000000000000000000000000000222630303030303030303030303030303030303030303030303030303030303030302d64756d6d79322212200000000000000000000000000000000000000000000000000000000000000000`
const PATH_INFO_SYMLINK =
  '0a441a420a2630303030303030303030303030303030303030303030303030303030303030302d64756d6d7912182f6e69782f73746f72652f736f6d657768657265656c73651a250888011220097d397e9b5826384eaa16c457715d1c1a51670313ead0f58566e0b232539cf1'
const NARINFO_HELLO =
  '08b8e90d122000c1c2c951471ff60e0a3d7a38d283482f4a945642b39d88d17c192af98bf07b1a550a1163616368652e6e69786f732e6f72672d311240f228c409c892173587c30195388558769d9f38838901f9b31873d0570a64b5f4d0245ea430f3c3adeed4b45c37a3e56a7a70b93fc46290a38001f37b0af3c402222d336e35387877343337336a70306c6a697266303664383037376a31357063346a2d676c6962632d322e33372d38222d7336366d7a7870766963776b3037676a626a667739697a6a66613739377673772d68656c6c6f2d322e31322e312a240a0c68656c6c6f2d322e31322e31121498c2b776c4d0abd5e6ee5b55cd41f8ec0ea8c78a'
const NARINFO_TARBALL =
  '08c8893f12209022687ce0c3b96a2d21ead66a3e911aed738febb13b897e1a4b8729e6ba78d31a550a1163616368652e6e69786f732e6f72672d311240cb09c81badbd9d0650844afafc72c3acb4ff994129e49d4b0ba3665929494562ff9ccee8188b4941461618bbd81a1490bc7ae122ebcca6336604d87f596a820e2a2b0a1368656c6c6f2d322e31322e312e7461722e677a12140e530fba5ed5c4653488213053a7c08ad6bba36f3224080712208d99142afd92576f30b0cd7cb42a8dc6809998bc5d607d88761f512e26c7db20'

const base: PathInfo = {
  storePath: DUMMY,
  node: DIRECTORY,
  references: [DUMMY],
  narSize: 0n,
  narSha256: ZEROS(32),
  signatures: [],
  deriver: undefined,
  ca: undefined,
}

/** A path info's message around the narinfo of a vector. */
function around(narInfo: string, storePath: string, references: readonly string[]): Uint8Array {
  const symlink = new MessageWriter().text(1, storePath).text(2, 'target').finish()
  const message = new MessageWriter().bytes(1, new MessageWriter().bytes(3, symlink).finish())
  for (const reference of references) message.bytes(2, StorePath.parse(reference).digest)
  return message.bytes(3, hex(narInfo)).finish()
}

describe('07 section 11.4 encoded path infos', () => {
  const vectors: [string, string, PathInfo][] = [
    ['WITH_NARINFO of the first generation', WITH_NARINFO_G1, base],
    ['WITH_NARINFO', WITH_NARINFO, { ...base, ca: { kind: CaKind.narSha256, digest: ZEROS(32) } }],
    [
      'PATH_INFO_SYMLINK',
      PATH_INFO_SYMLINK,
      {
        ...base,
        node: { kind: 'symlink', target: SymlinkTarget.from('/nix/store/somewhereelse') },
        references: [],
        narSize: 136n,
        narSha256: NAR_SYMLINK,
      },
    ],
  ]

  it.each(vectors)('%s', (_name, bytes, info) => {
    expect(toHex(encodePathInfo(info))).toBe(bytes)
    expect(decodePathInfo(hex(bytes))).toEqual(info)
  })

  it('NARInfo of hello-2.12.1', () => {
    const glibc = '3n58xw4373jp0ljirf06d8077j15pc4j-glibc-2.37-8'
    const hello = 's66mzxpvicwk07gjbjfw9izjfa797vsw-hello-2.12.1'
    const bytes = around(NARINFO_HELLO, hello, [glibc, hello])
    const info = decodePathInfo(bytes)
    expect(info.storePath.toString()).toBe(hello)
    expect(info.references.map(String)).toEqual([glibc, hello])
    expect(info.narSize).toBe(226488n)
    expect(info.signatures).toHaveLength(1)
    expect(info.signatures[0]?.name).toBe('cache.nixos.org-1')
    expect(info.deriver?.name).toBe('hello-2.12.1')
    expect(toHex(info.deriver!.digest)).toBe('98c2b776c4d0abd5e6ee5b55cd41f8ec0ea8c78a')
    expect(info.ca).toBeUndefined()
    expect(toHex(encodePathInfo(info))).toBe(toHex(bytes))
  })

  it('NARInfo of the tarball', () => {
    const bytes = around(NARINFO_TARBALL, 'pa10z4ngm0g83kx9mssrqzz30s84vq7k-hello-2.12.1.tar.gz', [])
    const info = decodePathInfo(bytes)
    expect(info.narSize).toBe(1033416n)
    expect(info.ca?.kind).toBe(CaKind.flatSha256)
    expect(toHex(info.ca!.digest)).toBe('8d99142afd92576f30b0cd7cb42a8dc6809998bc5d607d88761f512e26c7db20')
    expect(info.deriver?.name).toBe('hello-2.12.1.tar.gz')
    expect(toHex(encodePathInfo(info))).toBe(toHex(bytes))
  })

  it('sizes beyond 2^53 are exact', () => {
    const info = { ...base, narSize: 2n ** 64n - 1n }
    expect(decodePathInfo(encodePathInfo(info)).narSize).toBe(2n ** 64n - 1n)
  })

  it('every kind of content address', () => {
    const lengths = [32, 20, 64, 16, 32, 20, 16, 32, 64]
    for (const kind of Object.values(CaKind)) {
      const ca = { kind, digest: new Uint8Array(lengths[kind]!).fill(kind) }
      expect(decodePathInfo(encodePathInfo({ ...base, ca })).ca).toEqual(ca)
    }
  })

  it('fields that nobody knows, of every wire type, anywhere', () => {
    const unknown = hex('f801 7f  f901 0102030405060708  fa01 03 616263  fd01 01020304')
    const narInfo = Buffer.concat([unknown, new MessageWriter().bytes(2, NAR_SYMLINK).finish(), unknown])
    const symlink = new MessageWriter().text(1, DUMMY.toString()).text(2, 'x').finish()
    const node = new MessageWriter().bytes(3, symlink).finish()
    const message = new MessageWriter().bytes(1, node).bytes(3, narInfo).finish()
    const info = decodePathInfo(Buffer.concat([unknown, message, unknown]))
    expect(toHex(info.narSha256)).toBe(toHex(NAR_SYMLINK))
    expect(info.storePath.equals(DUMMY)).toBe(true)
  })
})

/** The parts of a message, each replaceable; undefined leaves one out. */
interface Parts {
  node?: Uint8Array | undefined
  references?: Uint8Array[]
  names?: string[]
  narSha256?: Uint8Array
  signatures?: Uint8Array[]
  deriver?: Uint8Array
  ca?: Uint8Array
  narInfo?: boolean
}

function directoryNode(name: string, digest = ZEROS(32)): Uint8Array {
  const entry = new MessageWriter().text(1, name).bytes(2, digest).finish()
  return new MessageWriter().bytes(1, entry, true).finish()
}

const symlinkNode = (name: string | Uint8Array, target: string): Uint8Array => {
  const bytes = typeof name === 'string' ? Buffer.from(name) : name
  return new MessageWriter()
    .bytes(3, new MessageWriter().bytes(1, bytes).text(2, target).finish(), true)
    .finish()
}

function build(parts: Parts): Uint8Array {
  const { references = [ZEROS(20)], names = [DUMMY.toString()], narSha256 = ZEROS(32) } = parts
  const message = new MessageWriter()
  const node = 'node' in parts ? parts.node : directoryNode(DUMMY.toString())
  if (node !== undefined) message.bytes(1, node, true)
  for (const reference of references) message.bytes(2, reference, true)
  if (parts.narInfo === false) return message.finish()
  const narInfo = new MessageWriter().bytes(2, narSha256)
  for (const signature of parts.signatures ?? []) narInfo.bytes(3, signature, true)
  for (const name of names) narInfo.text(4, name, true)
  if (parts.deriver !== undefined) narInfo.bytes(5, parts.deriver, true)
  if (parts.ca !== undefined) narInfo.bytes(6, parts.ca, true)
  return message.bytes(3, narInfo.finish(), true).finish()
}

const signature = (length: number) => new MessageWriter().text(1, 'key').bytes(2, ZEROS(length)).finish()
const deriver = (name: string, length: number) =>
  new MessageWriter().text(1, name).bytes(2, ZEROS(length)).finish()
const ca = (kind: bigint, length: number) =>
  new MessageWriter().number(1, kind).bytes(2, ZEROS(length)).finish()

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
    ['7 no node', 'NoNodePresent', build({ node: undefined })],
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
    ['11 ca of unknown type', 'InvalidCaField', build({ ca: ca(9n, 32) })],
    ['11 ca of a huge type', 'InvalidCaField', build({ ca: ca(2n ** 63n, 32) })],
    ...[32, 20, 64, 16, 32, 20, 16, 32, 64].map((length, kind): [string, string, Uint8Array] => [
      `11 ca of type ${kind} with ${length - 1} bytes`,
      'InvalidCaField',
      build({ ca: ca(BigInt(kind), length - 1) }),
    ]),
    ['cut', 'Malformed', hex(WITH_NARINFO).slice(0, 60)],
    ['a length beyond the end', 'Malformed', hex('0aff')],
    ['field number 0', 'Malformed', hex('0200')],
    ['a group', 'Malformed', hex('0b0c')],
    ['an endless number', 'Malformed', hex('08ffffffffffffffffffff01')],
    ['a number of 65 bits', 'Malformed', hex('08ffffffffffffffffff7f')],
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
        fc.record({ name: fc.string(), data: fc.uint8Array({ minLength: 64, maxLength: 64 }) }),
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
