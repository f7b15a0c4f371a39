import { SymlinkTarget } from '@neve/castore-model'
import {
  ContentAddress,
  digestSize,
  encodeNixbase32,
  type HashAlgorithm,
  PublicKey,
  parseNarInfo,
  StorePath,
  trustedSignature,
} from '@neve/nix-compat'
import {
  decodePathInfo,
  encodePathInfo,
  fromNarInfo,
  InvalidPathInfoError,
  narInfoText,
  type PathInfo,
  toNarInfo,
} from '@neve/store-pathinfo'
import { describe, expect, it } from 'vitest'
import { MessageWriter } from './message-writer.js'
import {
  around,
  BASE,
  build,
  DUMMY,
  deriver,
  directoryNode,
  NAR_SYMLINK,
  NARINFO_HELLO,
  NARINFO_TARBALL,
  PATH_INFO_SYMLINK,
  symlinkNode,
  WITH_NARINFO,
  WITH_NARINFO_G1,
  WITHOUT_NARINFO,
  ZEROS,
} from './path-info-messages.js'
import { hex, toHex } from './support.js'

const nixHashSize = (name: string) => digestSize(name as HashAlgorithm)
const SIGNED_BY = PublicKey.parse('cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=')

describe('07 section 11.4 encoded path infos', () => {
  const vectors: [string, string, PathInfo][] = [
    ['WITH_NARINFO of the first generation', WITH_NARINFO_G1, BASE],
    ['WITH_NARINFO', WITH_NARINFO, { ...BASE, ca: ContentAddress.parse(`fixed:r:sha256:${'0'.repeat(52)}`) }],
    [
      'PATH_INFO_SYMLINK',
      PATH_INFO_SYMLINK,
      {
        ...BASE,
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
    expect(String(info.ca)).toBe('fixed:sha256:086vqwk2wl8zfs47sq2xpjc9k066ilmb8z6dn0q6ymwjzlm196cd')
    expect(info.deriver?.name).toBe('hello-2.12.1.tar.gz')
    expect(toHex(encodePathInfo(info))).toBe(toHex(bytes))
  })

  it('sizes beyond 2^53 are exact', () => {
    const info = { ...BASE, narSize: 2n ** 64n - 1n }
    expect(decodePathInfo(encodePathInfo(info)).narSize).toBe(2n ** 64n - 1n)
  })

  it('every kind of content address, by its number on the wire', () => {
    const names =
      'fixed:r:sha256 fixed:r:sha1 fixed:r:sha512 fixed:r:md5 text:sha256 fixed:sha1 fixed:md5 fixed:sha256 fixed:sha512'
    for (const [type, name] of names.split(' ').entries()) {
      const digest = ZEROS(nixHashSize(name.slice(name.lastIndexOf(':') + 1))).fill(type)
      const address = ContentAddress.parse(`${name}:${encodeNixbase32(digest)}`)
      const bytes = encodePathInfo({ ...BASE, ca: address })
      expect(toHex(bytes)).toContain(
        toHex(new MessageWriter().number(1, BigInt(type)).bytes(2, digest).finish()),
      )
      expect(decodePathInfo(bytes).ca).toEqual(address)
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

const TARBALL = `StorePath: /nix/store/pa10z4ngm0g83kx9mssrqzz30s84vq7k-hello-2.12.1.tar.gz
URL: some.nar
Compression: none
NarHash: sha256:1lvqpbk2k1sb39z8jfxixf7p7v8sj4z6mmpa44nnmff3w1y6h8lh
NarSize: 1033416
References: ${''}
Deriver: dyivpmlaq2km6c11i0s6bi6mbsx0ylqf-hello-2.12.1.tar.gz.drv
Sig: cache.nixos.org-1:ywnIG629nQZQhEr6/HLDrLT/mUEp5J1LC6NmWSlJRWL/nM7oGItJQUYWGLvYGhSQvHrhIuvMpjNmBNh/WWqCDg==
CA: fixed:sha256:086vqwk2wl8zfs47sq2xpjc9k066ilmb8z6dn0q6ymwjzlm196cd
`

describe('narinfo files of path infos', () => {
  it('07#22 b) the tarball, both ways', () => {
    const bytes = around(NARINFO_TARBALL, 'pa10z4ngm0g83kx9mssrqzz30s84vq7k-hello-2.12.1.tar.gz', [])
    const info = decodePathInfo(bytes)
    const location = { url: 'some.nar', compression: 'none' }
    expect(narInfoText(info, location)).toBe(TARBALL)
    const again = fromNarInfo(parseNarInfo(TARBALL), info.node)
    expect(toHex(encodePathInfo(again))).toBe(toHex(bytes))
    expect(trustedSignature(toNarInfo(info, location), [SIGNED_BY])).toBeDefined()
  })

  it('07#22 e) as the bridge writes it', () => {
    const url = 'nar/snix-castore/GhoSGC9uaXgvc3RvcmUvc29tZXdoZXJlZWxzZQ?narsize=136'
    const info = decodePathInfo(hex(PATH_INFO_SYMLINK))
    expect(narInfoText(info, { url, compression: 'none', fileSize: 136n })).toBe(
      `StorePath: ${DUMMY.toAbsolute()}\nURL: ${url}\nCompression: none\nFileSize: 136\nNarHash: sha256:1wcwacrb5q36hpsx1shk0dkm26hwbmqmgi0nm973h9jqkdz3jz89\nNarSize: 136\nReferences: \n`,
    )
  })
})

/** The condition that a message is refused for. */
function conditionOf(bytes: Uint8Array): InvalidPathInfoError['condition'] {
  try {
    decodePathInfo(bytes)
  } catch (error) {
    expect(error).toBeInstanceOf(InvalidPathInfoError)
    return (error as InvalidPathInfoError).condition
  }
  throw new Error('expected it to be refused')
}

/** A node message of a kind, its name and digest given. */
function content(kind: 'directory' | 'file', name: string, digest = ZEROS(32)): Uint8Array {
  if (kind === 'directory') return directoryNode(name, digest)
  const entry = new MessageWriter().text(1, name).bytes(2, digest).finish()
  return new MessageWriter().bytes(2, entry, true).finish()
}

describe('07 section 12 validation', () => {
  const rootOf = (node: Uint8Array) => decodePathInfo(build({ node }))

  it('07#1 no node', () => {
    expect(conditionOf(build({ node: undefined }))).toEqual({ kind: 'NoEntryPresent' })
  })

  it('07#2 a node of no kind', () => {
    expect(conditionOf(build({ node: new Uint8Array(0) }))).toEqual({ kind: 'InvalidRootNode' })
  })

  it.each([
    ['07#3', '07#4', '07#5', 'directory'],
    ['07#6', '07#7', '07#8', 'file'],
  ] as const)('%s, %s, %s: a %s as root', (_a, _b, _c, kind) => {
    expect(rootOf(content(kind, DUMMY.toString())).storePath.equals(DUMMY)).toBe(true)
    expect(conditionOf(build({ node: content(kind, DUMMY.toString(), ZEROS(0)) })).kind).toBe(
      'InvalidRootNode',
    )
    const name = new TextEncoder().encode('invalid')
    expect(conditionOf(build({ node: content(kind, 'invalid') }))).toEqual({ kind: 'InvalidNodeName', name })
  })

  it('07#9 a symlink as root', () => {
    expect(rootOf(symlinkNode(DUMMY.toString(), 'foo')).storePath.equals(DUMMY)).toBe(true)
  })

  it('07#10 a symlink with a name that is no store path', () => {
    const name = new TextEncoder().encode('invalid')
    expect(conditionOf(build({ node: symlinkNode('invalid', 'foo') }))).toEqual({
      kind: 'InvalidNodeName',
      name,
    })
  })

  it('07#11 without narinfo', () => {
    expect(conditionOf(hex(WITHOUT_NARINFO))).toEqual({ kind: 'NarInfoFieldMissing' })
  })

  it('07#12 with narinfo', () => {
    expect(decodePathInfo(hex(WITH_NARINFO)).references.map(String)).toEqual([DUMMY.toString()])
  })

  it('07#13 no names of references', () => {
    expect(conditionOf(build({ names: [] }))).toEqual({
      kind: 'InconsistentNumberOfReferences',
      references: 1,
      referenceNames: 0,
    })
  })

  it('07#14 another reference of two bytes', () => {
    expect(conditionOf(build({ references: [ZEROS(20), hex('ffff')] }))).toEqual({
      kind: 'InvalidReferenceDigestLen',
      index: 1,
      length: 2,
    })
  })

  it('07#15 an absolute path as the name of a reference', () => {
    const name = DUMMY.toAbsolute()
    expect(conditionOf(build({ names: [name] }))).toEqual({
      kind: 'InvalidNarinfoReferenceName',
      index: 0,
      name,
    })
  })

  it('07#16 another digest than that of the name', () => {
    const reference = ZEROS(20).fill(0xff)
    expect(conditionOf(build({ references: [reference] }))).toEqual({
      kind: 'InconsistentNarinfoReferenceNameDigest',
      index: 0,
      reference,
      fromName: ZEROS(20),
    })
    expect(() => decodePathInfo(build({ references: [reference] }))).toThrow(
      '//////////////////////////8=, but its name 00000000000000000000000000000000-dummy has AAAAAAAAAAAAAAAAAAAAAAAAAAA=',
    )
  })

  it('07#17 a NAR hash of two bytes', () => {
    const condition = { kind: 'InvalidNarSha256DigestLen', length: 2 }
    expect(conditionOf(build({ narSha256: hex('beef') }))).toEqual(condition)
  })

  it('07#18 a deriver', () => {
    const info = decodePathInfo(build({ deriver: deriver('dummy', 20) }))
    expect(info.deriver?.equals(DUMMY)).toBe(true)
  })

  it('07#19 a deriver without digest, also when there are no references', () => {
    const bytes = build({ deriver: deriver('foo', 0) })
    expect(conditionOf(bytes)).toEqual({ kind: 'InvalidDeriverField' })
    const alone = build({ references: [], names: [], deriver: deriver('foo', 0) })
    expect(conditionOf(alone)).toEqual({ kind: 'InvalidDeriverField' })
  })

  it('07#20 a symlink without target, or with NUL in it', () => {
    for (const target of ['', 'foo\0']) {
      const node = symlinkNode(DUMMY.toString(), target)
      expect(conditionOf(build({ node }))).toEqual({ kind: 'InvalidRootNode' })
    }
  })

  it('07#21 the same as in Go', () => {
    const tools = StorePath.parse('00bgd045z0d4icpbc2yyz4gx48ak44la-net-tools-1.60_p2017022118243')
    const node = symlinkNode(DUMMY.toString(), '/nix/store/somewhereelse')
    const good = { node, references: [tools.digest], names: [tools.toString()] }
    expect(toHex(tools.digest)).toBe('8a12321522fd91efbd60ebb2481af88580f61600')
    expect(decodePathInfo(build(good)).storePath.equals(DUMMY)).toBe(true)
    expect(decodePathInfo(build({ ...good, deriver: deriver('dummy', 20) })).deriver?.equals(DUMMY)).toBe(
      true,
    )
    const refused = [
      { narSha256: hex('beef') },
      { references: [tools.digest, hex('00')] },
      { names: ['00000000000000000000000000000000-'] },
      { names: ['11111111111111111111111111111111-dummy'] },
      { node: undefined },
      { node: symlinkNode(DUMMY.toAbsolute(), 'x') },
      { deriver: deriver('dummy', 0) },
    ]
    expect(refused.map((parts) => conditionOf(build({ ...good, ...parts })).kind)).toEqual([
      'InvalidNarSha256DigestLen',
      'InvalidReferenceDigestLen',
      'InvalidNarinfoReferenceName',
      'InconsistentNarinfoReferenceNameDigest',
      'NoEntryPresent',
      'InvalidRootNode',
      'InvalidDeriverField',
    ])
  })

  it('of several conditions, the first of the order is told', () => {
    const parts = {
      references: [ZEROS(19)],
      names: [],
      node: undefined,
      narSha256: ZEROS(1),
      deriver: deriver('', 1),
      signatures: [ZEROS(0)],
    }
    const kinds: string[] = []
    for (const fixed of [
      {},
      { references: [ZEROS(20)] },
      { names: ['x'] },
      { names: [DUMMY.toString()] },
      { node: symlinkNode(DUMMY.toString(), 'x') },
      { narSha256: ZEROS(32) },
      { deriver: deriver('x', 20) },
    ]) {
      Object.assign(parts, fixed)
      kinds.push(conditionOf(build(parts)).kind)
    }
    expect(kinds).toEqual([
      'InvalidReferenceDigestLen',
      'InconsistentNumberOfReferences',
      'InvalidNarinfoReferenceName',
      'NoEntryPresent',
      'InvalidNarSha256DigestLen',
      'InvalidDeriverField',
      'InvalidSignature',
    ])
  })
})
