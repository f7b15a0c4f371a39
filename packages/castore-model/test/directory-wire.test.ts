import {
  B3Digest,
  CastoreModelError,
  Directory,
  DirectoryError,
  directoryMessageSize,
  MalformedMessageError,
  parseDirectoryMessage,
  ValidateNodeError,
} from '@neve/castore-model'
import { describe, expect, it } from 'vitest'
import { DUMMY_DIGEST, fixtures, unhex, utf8 } from './fixtures.js'
import { type WireLink, type WireNode, wireDirectory } from './wire.js'

const E = 'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262'
const MAX = 2n ** 64n - 1n
const X500 = 'X'.repeat(500)

type Lists = { directories?: WireNode[]; files?: WireNode[]; symlinks?: WireLink[] }

const sizeOf = (lists: Lists) => directoryMessageSize(parseDirectoryMessage(wireDirectory(lists)))

describe('size of a wire message (spec 01 section 6.3)', () => {
  it.each([
    [{}, 0n],
    [{ directories: [{ name: 'a', size: 0n }] }, 1n],
    [{ directories: [{ name: 'a', size: 4n }] }, 5n],
    [{ files: [{ name: 'a', size: 42n }] }, 1n],
    [{ symlinks: [{ name: 'a', target: 'b' }] }, 1n],
  ] as [Lists, bigint][])('01#28 %# is counted once', (lists, size) => {
    expect(sizeOf(lists)).toBe(size)
    expect(Directory.decode(wireDirectory(lists)).size()).toBe(size)
  })

  it('01#29 01#30 is checked, and never wraps', () => {
    expect(sizeOf({ directories: [{ name: 'a', size: MAX - 1n }] })).toBe(MAX)
    const half = { name: 'a', size: 9223372036854775807n }
    for (const directories of [[{ name: 'a', size: MAX }], [half, half]]) {
      expect(() => sizeOf({ directories })).toThrow(expect.objectContaining({ kind: 'SizeOverflow' }))
    }
  })
})

interface Refused {
  readonly kind: DirectoryError['kind']
  readonly name?: string
  readonly list?: string
  readonly index?: number
  readonly reason?: string
}

const short = unhex('0042')
const refused: [string, Lists, Refused][] = [
  ...(
    [
      ['\0', 'Null'],
      ['.', 'CurDir'],
    ] as const
  ).map(([name, reason]): [string, Lists, Refused] => [
    `01#33 a directory named ${JSON.stringify(name)}`,
    { directories: [{ name }] },
    { kind: 'InvalidName', name, list: 'directories', index: 0, reason },
  ]),
  [
    '01#33 a file named ..',
    { files: [{ name: '..' }] },
    { kind: 'InvalidName', name: '..', list: 'files', index: 0, reason: 'Parent' },
  ],
  ...(
    [
      ['\0', 'Null'],
      ['foo/bar', 'Slashes'],
      [X500, 'TooLong'],
    ] as const
  ).map(([name, reason]): [string, Lists, Refused] => [
    `01#33 a symlink named ${JSON.stringify(name.slice(0, 9))}`,
    { symlinks: [{ name, target: 'foo' }] },
    { kind: 'InvalidName', name, list: 'symlinks', index: 0, reason },
  ]),
  [
    '01#34 a digest of two bytes',
    { directories: [{ name: 'foo', digest: short }] },
    { kind: 'InvalidNode', name: 'foo', list: 'directories', index: 0, reason: 'InvalidDigestLen' },
  ],
  [
    '01#35 b before a',
    { directories: [{ name: 'b' }, { name: 'a' }] },
    { kind: 'WrongSorting', name: 'a', list: 'directories', index: 1 },
  ],
  [
    '01#36 a twice in a list',
    { directories: [{ name: 'a' }, { name: 'a' }] },
    { kind: 'DuplicateName', name: 'a', list: 'directories', index: 1 },
  ],
  [
    '01#37 a in two lists',
    { directories: [{ name: 'a' }], symlinks: [{ name: 'a', target: 'b' }] },
    { kind: 'DuplicateName', name: 'a', list: 'symlinks', index: 0 },
  ],
  [
    '01#40 an empty name',
    { files: [{ name: '' }] },
    { kind: 'InvalidName', name: '', list: 'files', reason: 'Empty' },
  ],
  [
    '01#40 an empty name after a',
    { files: [{ name: 'a' }, { name: '' }] },
    { kind: 'WrongSorting', name: '', list: 'files', index: 1 },
  ],
  [
    '01#40 no digest',
    { files: [{ name: 'a', digest: new Uint8Array(0) }] },
    { kind: 'InvalidNode', name: 'a', list: 'files', reason: 'InvalidDigestLen' },
  ],
  [
    '01#40 an empty target',
    { symlinks: [{ name: 'a', target: '' }] },
    { kind: 'InvalidNode', name: 'a', list: 'symlinks', reason: 'InvalidSymlinkTarget' },
  ],
  [
    '01#40 a target with NUL',
    { symlinks: [{ name: 'a', target: 'foo\0' }] },
    { kind: 'InvalidNode', name: 'a', list: 'symlinks', reason: 'InvalidSymlinkTarget' },
  ],
  [
    '01#40 a file and a directory of one name',
    { directories: [{ name: 'a' }], files: [{ name: 'a' }] },
    { kind: 'DuplicateName', name: 'a', list: 'files', index: 0 },
  ],
  [
    '8.3: sorting before names',
    { directories: [{ name: 'b' }, { name: '.' }] },
    { kind: 'WrongSorting', name: '.', index: 1 },
  ],
  [
    '8.3: sorting of all lists before nodes',
    { directories: [{ name: 'a', digest: short }], files: [{ name: 'b' }, { name: 'a' }] },
    { kind: 'WrongSorting', name: 'a', list: 'files', index: 1 },
  ],
  [
    '8.3: a name with a slash in second place',
    { files: [{ name: 'a' }, { name: 'a/' }] },
    { kind: 'InvalidName', name: 'a/', list: 'files', index: 1, reason: 'Slashes' },
  ],
  [
    '8.3: an invalid name twice',
    { files: [{ name: '.' }, { name: '.' }] },
    { kind: 'InvalidName', name: '.', list: 'files', index: 1, reason: 'CurDir' },
  ],
  [
    '8.3: nodes before duplicates',
    { directories: [{ name: 'a' }], files: [{ name: 'a', digest: unhex('000042') }] },
    { kind: 'InvalidNode', name: 'a', list: 'files', index: 0, reason: 'InvalidDigestLen' },
  ],
  [
    '8.3: overflow before duplicates',
    { directories: [{ name: 'a', size: MAX - 1n }], files: [{ name: 'a' }] },
    { kind: 'SizeOverflow', name: 'a', list: 'files', index: 0 },
  ],
  ['overflow by one entry', { directories: [{ name: 'a', size: MAX }] }, { kind: 'SizeOverflow', index: 0 }],
]

describe('refused messages (spec 01 section 8.3)', () => {
  it.each(refused)('%s', (_, lists, expected) => {
    for (const decode of [Directory.decode, Directory.decodeMessage]) {
      const error = (() => {
        try {
          decode(wireDirectory(lists))
        } catch (thrown) {
          return thrown as DirectoryError
        }
        return expect.unreachable('it was accepted')
      })()
      expect(error).toBeInstanceOf(DirectoryError)
      const { name, reason, ...fields } = expected
      expect(error).toMatchObject(fields)
      if (name !== undefined) expect(error.entryName).toEqual(utf8(name))
      if (expected.kind === 'InvalidName') expect(error.cause).toMatchObject({ kind: 'Convert', reason })
      if (expected.kind === 'InvalidNode') {
        expect(error.cause).toBeInstanceOf(ValidateNodeError)
        expect(error.cause).toMatchObject({ kind: reason })
      }
    }
  })

  it('says what is wrong', () => {
    const message = (lists: Lists) => {
      try {
        Directory.decode(wireDirectory(lists))
      } catch (error) {
        return (error as Error).message
      }
      return undefined
    }
    expect(message({ directories: [{ name: 'foo', digest: short }] })).toBe(
      'invalid node with name foo: "invalid digest length: 2"',
    )
    expect(message({ files: [{ name: 'b' }, { name: 'a' }] })).toBe('"a" is not sorted')
    expect(message({ files: [{ name: '..' }] })).toBe(
      `invalid name: unable to convert '".."': cannot be '..'`,
    )
    expect(message({ symlinks: [{ name: 'l', target: 'a\0' }] })).toContain('invalid symlink target: ')
    expect(message({ directories: [{ name: 'a', size: MAX }] })).toBe('total size exceeds u64::MAX')
  })
})

describe('accepted messages', () => {
  it.each([
    ['01#32 the empty message', {}, []],
    ['01#38 a, b', { directories: [{ name: 'a' }, { name: 'b' }] }, ['a', 'b']],
    [
      '01#39 sorting is per list',
      { directories: [{ name: 'b' }, { name: 'c' }], symlinks: [{ name: 'a', target: 'foo' }] },
      ['a', 'b', 'c'],
    ],
  ] as [string, Lists, string[]][])('%s', (_, lists, names) => {
    for (const decode of [Directory.decode, Directory.decodeMessage]) {
      const made = decode(wireDirectory(lists))
      expect(made.entries.map((entry) => entry.name.toString())).toEqual(names)
      expect(made.encode()).toEqual(wireDirectory(lists))
    }
  })

  it('01#31 the empty message has its digest', () => {
    expect(Directory.decode(new Uint8Array(0)).digest().toHex()).toBe(E)
  })
})

describe('non-canonical encodings (spec 01 section 11.4)', () => {
  const made = fixtures('once')
  const [keepDir, keepFile, aa] = [
    '0a2a0a046b65657012208b5b5d642b646bb8ed504b0862c39413e87e57491497de7bd075953f7b83810e1801',
    `12290a052e6b6565701220${E}`,
    '1a1e0a02616112182f6e69782f73746f72652f736f6d657768657265656c7365',
  ]
  it.each([
    [
      'explicit size 0',
      'B',
      `0a270a01611220${E}1800`,
      '8ad6e90ce3b90fff84dec74390405a21d7ff2954b75853d41d70266239acd2ca',
    ],
    [
      'digest before name',
      'B',
      `0a251220${E}0a0161`,
      'c7e493ffef094594c0d44a3d88196ee5ac0a050707cb7442bd839edf3e44e6d9',
    ],
    ['an unknown field', 'A', '2001', '3dcb311a11dfecd1380c51851aaa14cc9a2bc3ea3d57d4e6a358cbb88d8fd1ca'],
    [
      'a length of two bytes',
      'WITH_KEEP',
      `12a9000a052e6b6565701220${E}`,
      '1bc8de107541198e7e6c1d9ba9d3c4b26f5423a53562e93d8f54ce43dd7fac35',
    ],
    [
      'explicit defaults',
      'WITH_KEEP',
      `122d0a052e6b6565701220${E}18002000`,
      '725b5eb05a8d4ae4c564bc4bb6520b67bdcdb8b6280f34b70a7d44482cd8b20f',
    ],
    [
      'symlinks first',
      'COMPLICATED',
      aa + keepDir + keepFile,
      '05864af6ee5d6c1d2257ed7a1f2c7666a15873b9eb78a3ec314e4f1fa55a1b85',
    ],
  ] as const)('%s: refused strictly, read leniently as %s', (_, key, encoding, digest) => {
    const bytes = unhex(encoding)
    expect(B3Digest.of(bytes).toHex()).toBe(digest)
    expect(() => Directory.decode(bytes)).toThrow(
      expect.objectContaining({ kind: 'NonCanonical', code: 'DIRECTORY_NON_CANONICAL' }),
    )
    const lenient = Directory.decodeMessage(bytes)
    expect(lenient.equals(made[key])).toBe(true)
    expect(lenient.digest().equals(made[key].digest())).toBe(true)
    expect(lenient.digest().toHex()).not.toBe(digest)
  })

  it.each([
    ['an over-long size', `0a280a01611220${E}188100`],
    ['an over-long tag', `8a00250a01611220${E}`],
    ['executable as 2', `12270a01611220${E}2002`],
    ['executable over-long', `12280a01611220${E}208100`],
    ['a repeated name', `0a280a01620a01611220${E}`],
    ['an unknown field in an element', `0a270a01611220${E}2801`],
    ['executable on a directory', `0a270a01611220${E}2001`],
    ['an unknown fixed64', '210102030405060708'],
    ['an unknown fixed32', '2501020304'],
    ['an unknown bytes field', '2203616263'],
    ['an unknown group', '23080124'],
  ])('%s is lenient only', (_, encoding) => {
    expect(() => Directory.decode(unhex(encoding))).toThrow(expect.objectContaining({ kind: 'NonCanonical' }))
    expect(Directory.decodeMessage(unhex(encoding))).toBeInstanceOf(Directory)
  })

  it('an invalid message is reported as what it is, not as non-canonical', () => {
    expect(() => Directory.decode(unhex(`0a270a012e1220${E}1800`))).toThrow(
      expect.objectContaining({ kind: 'InvalidName' }),
    )
  })
})

describe('bytes that are no message', () => {
  it.each([
    ['a lone tag', '0a'],
    ['a length without end', '0a80'],
    ['cut short', `0a250a01611220${E.slice(2)}`],
    ['an element longer than the message', '0a05'],
    ['a name longer than its element', '0a030a0561'],
    ['field number 0', '0001'],
    ['a tag over 32 bits', 'ffffffffff0101'],
    ['a varint of eleven bytes', '0affffffffffffffffffff01'],
    ['a varint over 64 bits', '0affffffffffffffffff02'],
    ['a length of 2^64−1', '0affffffffffffffffff01'],
    ['directories as a varint', '0801'],
    ['a name as a varint', '0a020801'],
    ['a size as bytes', '0a031a0161'],
    ['the end of a group alone', '24'],
    ['a group without end', '23'],
    ['a group closed as another', '232c'],
    ['wire type 6', '26'],
    ['wire type 7', '27'],
    ['a cut fixed64', '2101'],
    ['a cut fixed32', '2501'],
    ['groups nested without end', '23'.repeat(200)],
  ])('%s', (_, encoding) => {
    for (const decode of [Directory.decode, Directory.decodeMessage, parseDirectoryMessage]) {
      const run = () => decode(unhex(encoding))
      expect(run).toThrow(MalformedMessageError)
      expect(run).toThrow(CastoreModelError)
      expect(run).toThrow(expect.objectContaining({ code: 'MALFORMED_MESSAGE', offset: expect.any(Number) }))
    }
  })

  it('lenient decoding copies, strict decoding adopts', () => {
    const bytes = wireDirectory({ files: [{ name: 'abc', digest: DUMMY_DIGEST.bytes }] })
    const [lenient, strict] = [Directory.decodeMessage(bytes), Directory.decode(bytes)]
    bytes.fill(0x7a, 4, 7)
    expect(lenient.entries[0]?.name.toString()).toBe('abc')
    expect(strict.entries[0]?.name.toString()).toBe('zzz')
  })
})
