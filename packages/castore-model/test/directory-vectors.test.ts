import { B3Digest, Directory } from '@neve/castore-model'
import { describe, expect, it } from 'vitest'
import { directory, dirNode, emptyFile, fileNode, fixtures, hex, link, name, unhex } from './fixtures.js'

const EMPTY = 'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262'
const ZERO = '00'.repeat(32)
const KEEP = `12290a052e6b6565701220${EMPTY}`
const LINK = '1a1e0a02616112182f6e69782f73746f72652f736f6d657768657265656c7365'
const WITH_KEEP = '8b5b5d642b646bb8ed504b0862c39413e87e57491497de7bd075953f7b83810e'
const B = '8701f4722d8dae7f2c40fa003331b8437a3825f9e1bfd3a77998c64cc226b9cc'

const once = {
  A: [0n, '', EMPTY, 'b3:rxNJufX5oaagQE3qNtzJSZvLJcmtwRK3zJqTyuQfMmI='],
  WITH_KEEP: [1n, KEEP, WITH_KEEP, 'b3:i1tdZCtka7jtUEsIYsOUE+h+V0kUl9570HWVP3uDgQ4='],
  COMPLICATED: [
    4n,
    `0a2a0a046b6565701220${WITH_KEEP}1801${KEEP}${LINK}`,
    '3f951a15afd586fb3121ef4d13d582e811ce0e5a7f21c0497fd87490e9e2355a',
    'b3:P5UaFa/VhvsxIe9NE9WC6BHODlp/IcBJf9h0kOniNVo=',
  ],
  B: [1n, `0a250a01611220${EMPTY}`, B, 'b3:hwH0ci2Nrn8sQPoAMzG4Q3o4Jfnhv9OneZjGTMImucw='],
  C: [
    2n,
    `0a250a01611220${EMPTY}0a260a0261271220${EMPTY}`,
    '78eb200ae0cc95d4ea954655fbcf91e285013a261310e161927f2401d2bca803',
    'b3:eOsgCuDMldTqlUZV+8+R4oUBOiYTEOFhkn8kAdK8qAM=',
  ],
  D: [
    3n,
    `0a250a01611220${EMPTY}0a270a01621220${B}1801`,
    '99922a5c1801805287a647af73bca0ed7352a5f7f373e54992795bcc4a235213',
    'b3:mZIqXBgBgFKHpkevc7yg7XNSpffzc+VJknlbzEojUhM=',
  ],
} as const

const twice = {
  A: [0n, EMPTY],
  WITH_KEEP: [2n, WITH_KEEP],
  COMPLICATED: [8n, '424a7f6ce08d805d15b428062faae96299a1675d708c3a39261afe38cdd04feb'],
  B: [2n, B],
  C: [4n, once.C[2]],
  D: [6n, '76cd8b55b37333961c1778ba997e57df92e219926ae5a66c414b810331a77603'],
} as const

describe('fixture directories (spec 01 section 11.2, spec 03 section 13)', () => {
  const made = fixtures('once')
  for (const key of Object.keys(once) as (keyof typeof once)[]) {
    const [size, encoding, digest, text] = once[key]

    it(`01#42 ${key} has the documented size, encoding and digest`, () => {
      const value = made[key]
      expect(value.size()).toBe(size)
      expect(hex(value.encode())).toBe(encoding)
      expect(value.digest().toHex()).toBe(digest)
      expect(value.digest().toString()).toBe(text)
      expect(value.toNode()).toEqual({ kind: 'directory', digest: B3Digest.parse(text), size })
    })

    it(`${key} decodes to an equal directory that keeps the bytes`, () => {
      const bytes = unhex(encoding)
      const decoded = Directory.decode(bytes)
      expect(decoded.equals(made[key])).toBe(true)
      expect(decoded.entries.map((entry) => entry.name.toString())).toEqual(
        made[key].entries.map((entry) => entry.name.toString()),
      )
      expect(hex(decoded.encode())).toBe(encoding)
      expect(decoded.digest().toHex()).toBe(digest)
      expect(decoded.size()).toBe(size)
    })
  }

  it('01#31 the empty message has the digest of the empty blob', () => {
    expect(Directory.EMPTY.encode()).toHaveLength(0)
    expect(Directory.EMPTY.digest().toHex()).toBe(EMPTY)
    expect(Directory.EMPTY.digest().equals(B3Digest.of(new Uint8Array(0)))).toBe(true)
  })

  it('COMPLICATED iterates as .keep, aa, keep', () => {
    expect(made.COMPLICATED.entries.map((entry) => entry.name.toString())).toEqual(['.keep', 'aa', 'keep'])
  })

  it('BROKEN_PARENT of spec 03 section 13', () => {
    const parent = directory({ foo: dirNode(42n, B3Digest.EMPTY) })
    expect(parent.size()).toBe(43n)
    expect(hex(parent.encode())).toBe(`0a290a03666f6f1220${EMPTY}182a`)
    expect(parent.digest().toHex()).toBe('d47aaf4b9d72c5dd171756901a9829aeceff01be2175c2d9744239c72a5a572e')
  })

  const doubled = fixtures('twice')
  for (const key of Object.keys(twice) as (keyof typeof twice)[]) {
    it(`${key} by the doubled rule`, () => {
      expect(doubled[key].size('twice')).toBe(twice[key][0])
      expect(doubled[key].digest().toHex()).toBe(twice[key][1])
    })
  }
})

describe('further encodings (spec 01 section 11.3)', () => {
  const content = (n: string, rest: string) => `0a01${n}1220${ZERO}${rest}`
  const files = (...names: (string | Uint8Array)[]) =>
    Directory.fromEntries(names.map((text) => [name(text), emptyFile] as const))
  const cases: [string, Directory, string | number, string][] = [
    [
      'dirs a, b of size 1',
      directory({ b: dirNode(1n), a: dirNode(1n) }),
      `0a27${content('61', '1801')}0a27${content('62', '1801')}`,
      '343410630bc7cbc69dcc0b8a5201198a82f05489eada7b0707872f6a90dd197f',
    ],
    [
      '01#27 nine entries of three kinds',
      directory({
        ...{ b: dirNode(1n), a: dirNode(1n), z: dirNode(1n) },
        ...{ f: fileNode(1n, true), c: fileNode(1n, true), g: fileNode(1n, true) },
        ...{ t: link('a'), o: link('a'), e: link('a') },
      }),
      ['61', '62', '7a'].map((n) => `0a27${content(n, '1801')}`).join('') +
        ['63', '66', '67'].map((n) => `1229${content(n, '18012001')}`).join('') +
        '1a060a01651201611a060a016f1201611a060a0174120161',
      'd68f9adf2c69d36aa34d9d606ef7e00e2882da2894c90e9f64d9c790d4dc38cc',
    ],
    [
      'a directory of size 2^64−2',
      directory({ foo: dirNode(2n ** 64n - 2n) }),
      `0a320a03666f6f1220${ZERO}18feffffffffffffffff01`,
      '047661b7e3f33666dbeecfaf32819ba831d6febfe5dc29e3aac006d753da17b2',
    ],
    [
      'a file of size 2^53+1',
      directory({ big: fileNode(9007199254740993n, true, B3Digest.EMPTY) }),
      `12320a036269671220${EMPTY}1881808080808080102001`,
      '73bc09499d43c8ef87846cfb051e90ad83872a8602fe99b21546aa4137ebdc59',
    ],
    [
      'names whose UTF-16 order is the reverse',
      files('\u{10000}', '\ufffd'),
      `12270a03efbfbd1220${EMPTY}12280a04f09080801220${EMPTY}`,
      '7974276eff717c5da1c594b4a94944ac235b0e0a727f54d42651af8accaa67a7',
    ],
    [
      'a name that is no UTF-8',
      files(unhex('c5c4d6')),
      `12270a03c5c4d61220${EMPTY}`,
      '06ae1181c554c0a466f16d42ee3fb54675822bc3f3e8c5fd45e9bf0f627a00c6',
    ],
    [
      'a target that is no UTF-8',
      directory({ l: link(unhex('c5c4d6')) }),
      '1a080a016c1203c5c4d6',
      '005b6220be0a12ce96bf8f60cc1685e37f8ebbc394b82301482acff5a289eb5a',
    ],
    [
      'names around the dash and the dot',
      files('aa', 'a0', 'a.b', 'a-', 'a'),
      200,
      '3fe86918de5c4529bcc48eb71d768d544d556181803c29fe298d39b53307756f',
    ],
    [
      'the longest name',
      files('X'.repeat(255)),
      295,
      '2633b864c6f38c0e370f6d1d565c85cfd45fcf4eb2f2072c9400b90d761b029a',
    ],
    [
      'the longest target',
      directory({ l: link('X'.repeat(4095)) }),
      4104,
      '104141745c82f63420309ee08db40854085ee3af790776cb45800e735b52bc0d',
    ],
  ]
  for (const [title, value, encoding, digest] of cases) {
    it(title, () => {
      if (typeof encoding === 'number') expect(value.encode()).toHaveLength(encoding)
      else expect(hex(value.encode())).toBe(encoding)
      expect(value.digest().toHex()).toBe(digest)
      const decoded = Directory.decode(value.encode().slice())
      expect(decoded.entries).toHaveLength(value.entryCount)
      expect(decoded.size()).toBe(value.size())
      expect(Directory.fromEntries(decoded.entries).digest().toHex()).toBe(digest)
    })
  }

  it('01#27 sizes 4, 12 and 2^64−1', () => {
    expect(cases.slice(0, 3).map(([, value]) => value.size())).toEqual([4n, 12n, 2n ** 64n - 1n])
  })
})
