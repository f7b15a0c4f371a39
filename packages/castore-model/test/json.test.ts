import {
  B3Digest,
  CastoreModelError,
  type Directory,
  DirectoryError,
  directoryFromJson,
  directoryToJson,
  equalNodes,
  type Node,
  NodeJsonError,
  nodeFromJson,
  nodeToJson,
} from '@neve/castore-model'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { anyDirectory, anyNode } from './arbitraries.js'
import { directory, dirNode, fileNode, fixtures, HELLOWORLD_BLOB_CONTENTS, link, unhex } from './fixtures.js'

const hello = B3Digest.of(HELLOWORLD_BLOB_CONTENTS)
const digest = `blake3-${hello.toBase64()}`

describe('JSON forms (spec 08 section 3.6)', () => {
  it.each([
    [fileNode(12n, false, hello), { type: 'file', digest, size: 12, executable: false }],
    [dirNode(4n, hello), { type: 'directory', digest, size: 4 }],
    [link('/nix/store/somewhereelse'), { type: 'symlink', target: '/nix/store/somewhereelse' }],
    [link(unhex('c5c4d6')), { type: 'symlink', targetBase64: 'xcTW' }],
    [
      fileNode(2n ** 53n - 1n, true, hello),
      { type: 'file', digest, size: 9007199254740991, executable: true },
    ],
    [fileNode(2n ** 53n, true, hello), { type: 'file', digest, size: '9007199254740992', executable: true }],
    [dirNode(2n ** 64n - 1n, hello), { type: 'directory', digest, size: '18446744073709551615' }],
  ] as [Node, unknown][])('%#', (node, json) => {
    expect(nodeToJson(node)).toEqual(json)
    expect(equalNodes(nodeFromJson(JSON.parse(JSON.stringify(json))), node)).toBe(true)
  })

  it('writes keys in the order of the specification', () => {
    expect(JSON.stringify(nodeToJson(fileNode(12n, false, hello)))).toBe(
      `{"type":"file","digest":"${digest}","size":12,"executable":false}`,
    )
  })

  it('writes directories as lists, in order of names', () => {
    const { COMPLICATED } = fixtures('once')
    expect(directoryToJson(COMPLICATED).entries.map((entry) => ('name' in entry ? entry.name : ''))).toEqual([
      ...['.keep', 'aa', 'keep'],
    ])
    const odd: Directory = directoryFromJson({
      entries: [{ nameBase64: 'xcTW', type: 'symlink', target: 'a' }],
    })
    expect(directoryToJson(odd)).toEqual({ entries: [{ nameBase64: 'xcTW', type: 'symlink', target: 'a' }] })
    expect(odd.entries[0]?.name.toString()).toBe('\\xc5\\xc4\\xd6')
  })

  it.each([
    ['null', null, ''],
    ['text', 'file', ''],
    ['an array', [], ''],
    ['no type', {}, 'type'],
    ['another type', { type: 'regular' }, 'type'],
    ['no digest', { type: 'file', size: 1, executable: false }, 'digest'],
    ['a digest of another hash', { type: 'directory', digest: 'sha256-x', size: 1 }, 'digest'],
    ['no size', { type: 'directory', digest }, 'size'],
    ['a negative size', { type: 'directory', digest, size: -1 }, 'size'],
    ['a fraction', { type: 'directory', digest, size: 1.5 }, 'size'],
    ['an inexact number', { type: 'directory', digest, size: 2 ** 53 }, 'size'],
    ['2^64', { type: 'directory', digest, size: '18446744073709551616' }, 'size'],
    ['leading zeros', { type: 'directory', digest, size: '01' }, 'size'],
    ['empty size text', { type: 'directory', digest, size: '' }, 'size'],
    ['hex', { type: 'directory', digest, size: '0x1' }, 'size'],
    ['no executable', { type: 'file', digest, size: 1 }, 'executable'],
    ['executable as a number', { type: 'file', digest, size: 1, executable: 1 }, 'executable'],
    ['an unknown key', { type: 'directory', digest, size: 1, executable: false }, ''],
    ['a name on a lone node', { type: 'directory', name: 'a', digest, size: 1 }, ''],
    ['no target', { type: 'symlink' }, 'target'],
    ['an empty target', { type: 'symlink', target: '' }, 'target'],
    ['a target with NUL', { type: 'symlink', target: 'a\0' }, 'target'],
    ['both targets', { type: 'symlink', target: 'a', targetBase64: 'YQ==' }, ''],
    ['bad base64', { type: 'symlink', targetBase64: 'YQ=' }, 'targetBase64'],
    ['a lone surrogate', { type: 'symlink', target: '\ud800' }, 'target'],
    ['an inherited type', Object.create({ type: 'symlink', target: 'a' }), 'type'],
  ])('refuses %s', (_, value, path) => {
    const run = () => nodeFromJson(value)
    expect(run).toThrow(NodeJsonError)
    expect(run).toThrow(expect.objectContaining({ code: 'INVALID_NODE_JSON', path }))
  })

  it.each([
    ['no entries', {}, 'entries'],
    ['entries as an object', { entries: {} }, 'entries'],
    ['an unknown key', { entries: [], size: 0 }, ''],
    ['an entry that is none', { entries: [1] }, 'entries[0]'],
    ['no name', { entries: [{ type: 'symlink', target: 'a' }] }, 'entries[0].name'],
    ['a name that is none', { entries: [{ name: '..', type: 'symlink', target: 'a' }] }, 'entries[0].name'],
    [
      'a bad second entry',
      {
        entries: [
          { name: 'a', type: 'symlink', target: 'a' },
          { name: 'b', type: 'file', digest, size: 1 },
        ],
      },
      'entries[1].executable',
    ],
  ])('refuses a directory with %s', (_, value, path) => {
    expect(() => directoryFromJson(value)).toThrow(
      expect.objectContaining({ code: 'INVALID_NODE_JSON', path }),
    )
  })

  it('refuses a name twice', () => {
    const entry = { name: 'a', type: 'symlink', target: 'a' }
    expect(() => directoryFromJson({ entries: [entry, entry] })).toThrow(DirectoryError)
  })

  it('survives JSON text', () => {
    fc.assert(
      fc.property(anyDirectory, (value) => {
        const back = directoryFromJson(JSON.parse(JSON.stringify(directoryToJson(value))))
        expect(back.equals(value)).toBe(true)
      }),
      { numRuns: 300 },
    )
  })

  it('throws its own errors for whatever it is given', () => {
    const json = fc.oneof(fc.anything(), fc.jsonValue())
    const mutated = fc
      .tuple(
        anyNode.map(nodeToJson),
        fc.constantFrom('type', 'digest', 'size', 'executable', 'target', 'x'),
        json,
      )
      .map(([node, key, value]) => ({ ...node, [key]: value }))
    fc.assert(
      fc.property(fc.oneof(json, mutated), (value) => {
        for (const read of [nodeFromJson, (inner: unknown) => directoryFromJson({ entries: [inner] })]) {
          try {
            read(value)
          } catch (error) {
            expect(error).toBeInstanceOf(CastoreModelError)
          }
        }
      }),
      { numRuns: 2000 },
    )
  })

  it('writes the same for equal values', () => {
    const made = directory({ b: fileNode(1n), a: link('x') })
    expect(JSON.stringify(directoryToJson(made))).toBe(
      JSON.stringify(directoryToJson(directory({ a: link('x'), b: fileNode(1n) }))),
    )
  })
})
