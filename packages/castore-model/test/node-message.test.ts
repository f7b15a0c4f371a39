import {
  B3Digest,
  DirectoryError,
  decodeAnonymousNode,
  decodeNamedNode,
  encodeNode,
  equalNodes,
  FILE_ELEMENT_ROOM,
  InvalidSizeError,
  MalformedMessageError,
  type Node,
  ValidateNodeError,
  writeFileElement,
} from '@neve/castore-model'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { anyDigest } from './arbitraries.js'
import {
  DUMMY_DIGEST_2,
  fileNode,
  fixtures,
  HELLOWORLD_BLOB_CONTENTS,
  hex,
  link,
  unhex,
  utf8,
} from './fixtures.js'

const { COMPLICATED, WITH_KEEP } = fixtures('once')
const hello = B3Digest.of(HELLOWORLD_BLOB_CONTENTS)
const HELLO = '5ca7815adcb484e9a136c11efe69c1d530176d549b5d18d038eb5280b4b3470c'
const none = new Uint8Array(0)

const vectors: [string, string, Node, string][] = [
  ['', 'COMPLICATED', COMPLICATED.toNode(), `0a241220${COMPLICATED.digest().toHex()}1804`],
  ['keep', 'WITH_KEEP', WITH_KEEP.toNode(), `0a2a0a046b6565701220${WITH_KEEP.digest().toHex()}1801`],
  ['', 'Hello World!', fileNode(12n, false, hello), `12241220${HELLO}180c`],
  ['foo', 'the same, executable', fileNode(12n, true, hello), `122b0a03666f6f1220${HELLO}180c2001`],
  [
    '',
    'a symlink',
    link('/nix/store/somewhereelse'),
    '1a1a12182f6e69782f73746f72652f736f6d657768657265656c7365',
  ],
]

describe('Node messages (spec 01 sections 8.1, 8.2 and 11.3)', () => {
  it.each(vectors)('%j: %s', (name, _, node, encoding) => {
    expect(hex(encodeNode(utf8(name), node))).toBe(encoding)
    if (name === '') {
      expect(equalNodes(decodeAnonymousNode(unhex(encoding)), node)).toBe(true)
      expect(() => decodeNamedNode(unhex(encoding))).toThrow(
        expect.objectContaining({ kind: 'InvalidName', cause: expect.objectContaining({ reason: 'Empty' }) }),
      )
    } else {
      const named = decodeNamedNode(unhex(encoding))
      expect(named.name.toString()).toBe(name)
      expect(equalNodes(named.node, node)).toBe(true)
      expect(() => decodeAnonymousNode(unhex(encoding))).toThrow(
        expect.objectContaining({ kind: 'NameInAnonymousNode', entryName: utf8(name) }),
      )
    }
  })

  it('the root of HELLOWORLD as text of spec 08 section 3.6', () => {
    const bytes = encodeNode(none, fileNode(12n, false, hello))
    expect(Buffer.from(bytes).toString('base64url')).toBe(
      'EiQSIFyngVrctITpoTbBHv5pwdUwF21Um10Y0DjrUoC0s0cMGAw',
    )
  })

  it.each([
    ['nothing set', '', 'NoNodeSet'],
    ['only an unknown field', '2001', 'NoNodeSet'],
    ['a name that is no name', `122b0a03612f621220${HELLO}180c2001`, 'InvalidName'],
    ['a short digest', '12080a03666f6f120142', 'InvalidNode'],
    ['a set but empty file without name', '1200', 'InvalidName'],
  ])('refuses %s', (_, encoding, kind) => {
    const run = () => decodeNamedNode(unhex(encoding))
    expect(run).toThrow(DirectoryError)
    expect(run).toThrow(expect.objectContaining({ kind }))
  })

  it.each([
    ['a set but empty file', '1200', 'InvalidDigestLen'],
    ['a set but empty symlink', '1a00', 'InvalidSymlinkTarget'],
    ['a target with NUL', '1a04120261001a00', 'InvalidSymlinkTarget'],
  ])('without a name refuses %s', (_, encoding, kind) => {
    const run = () => decodeAnonymousNode(unhex(encoding))
    expect(run).toThrow(ValidateNodeError)
    expect(run).toThrow(expect.objectContaining({ kind }))
  })

  it('without a name refuses nothing set', () => {
    expect(() => decodeAnonymousNode(none)).toThrow(expect.objectContaining({ kind: 'NoNodeSet' }))
  })

  it('the last member wins; a repeated one is merged', () => {
    const file = encodeNode(none, fileNode(1n, true, hello))
    const other = encodeNode(none, fileNode(2n, false, DUMMY_DIGEST_2))
    const target = encodeNode(none, link('x'))
    const join = (...parts: Uint8Array[]) => new Uint8Array(Buffer.concat(parts))
    expect(decodeAnonymousNode(join(file, target))).toEqual(link('x'))
    expect(decodeAnonymousNode(join(file, other))).toEqual(fileNode(2n, true, DUMMY_DIGEST_2))
    expect(decodeAnonymousNode(join(file, target, other))).toEqual(fileNode(2n, false, DUMMY_DIGEST_2))
  })

  it.each(['12', '1205', '0801', '120208', '12021a01'])('refuses the bytes %s', (encoding) => {
    for (const decode of [decodeNamedNode, decodeAnonymousNode]) {
      expect(() => decode(unhex(encoding))).toThrow(MalformedMessageError)
    }
  })

  it('copies what it reads', () => {
    const bytes = encodeNode(utf8('foo'), fileNode(12n, true, hello))
    const { name, node } = decodeNamedNode(bytes)
    bytes.fill(0)
    expect(name.toString()).toBe('foo')
    expect(equalNodes(node, fileNode(12n, true, hello))).toBe(true)
  })

  it('writes sizes of every length minimally', () => {
    for (let bits = 0n; bits <= 64n; bits++) {
      for (const size of [2n ** bits - 1n, 2n ** bits]) {
        if (size >= 2n ** 64n) {
          expect(() => encodeNode(none, fileNode(size))).toThrow(InvalidSizeError)
          continue
        }
        const bytes = encodeNode(none, fileNode(size, false, hello))
        const bitLength = size === 0n ? 0 : size.toString(2).length
        expect(bytes).toHaveLength(36 + (size === 0n ? 0 : 1 + Math.ceil(bitLength / 7)))
        expect(decodeAnonymousNode(bytes)).toEqual(fileNode(size, false, hello))
      }
    }
  })
})

it('writes the element of a file as any node, without making one', () => {
  const names = fc.uint8Array({ maxLength: 255 })
  const sizes = fc.oneof(fc.nat(300), fc.maxSafeNat(), fc.constantFrom(0, 127, 128, 2 ** 28, 2 ** 32))
  fc.assert(
    fc.property(names, anyDigest, sizes, fc.boolean(), fc.nat(9), (name, digest, size, executable, start) => {
      const out = new Uint8Array(start + name.length + FILE_ELEMENT_ROOM)
      const end = writeFileElement(out, start, name, digest.bytes, size, executable)
      const node = { kind: 'file', digest, size: BigInt(size), executable } as const
      expect(out.subarray(start, end)).toEqual(encodeNode(name, node))
    }),
  )
})
