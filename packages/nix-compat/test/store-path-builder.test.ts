import {
  BuildStorePathError,
  buildStorePath,
  ContentAddress,
  type ContentAddressMethod,
  foldDigest,
  type HashAlgorithm,
  NixHash,
  narStorePath,
  outputPathName,
  outputStorePath,
  placeholder,
  StorePath,
  textStorePath,
} from '@neve/nix-compat'
import { describe, expect, test } from 'vitest'
import { fromHex, refusal, toHex, utf8 } from './refusal.js'

const hello = utf8('Hello World!')
const foo = StorePath.parse('vxjiwkjkn7x4079qvh1jkl5pn05j2aw0-foo')

function address(method: ContentAddressMethod, algorithm: HashAlgorithm, digest: string): ContentAddress {
  return new ContentAddress(method, NixHash.parse(digest, algorithm))
}

describe('texts', () => {
  test('09#77 S-1, S-4', () => {
    expect(textStorePath('foo', utf8('bar')).toString()).toBe('vxjiwkjkn7x4079qvh1jkl5pn05j2aw0-foo')
    expect(textStorePath('empty.txt', new Uint8Array(0)).toString()).toBe(
      '45sv31448808npa0rjs7dwn00lbnqs8p-empty.txt',
    )
  })

  test('09#77 S-2 with a reference', () => {
    expect(textStorePath('baz', utf8(foo.toAbsolute()), [foo]).toString()).toBe(
      '5xd714cbfnkz02h2vbsj4fm03x3f15nf-baz',
    )
  })

  test('09#77 S-3 references are sorted and made unique', () => {
    const [a, b] = [textStorePath('a', utf8('1')), textStorePath('b', utf8('2'))]
    expect([a, b].map(String)).toEqual([
      'sx0f0xfyqvpn8kqsgk93bgc4nxdb0bs2-a',
      '7ppbc50hd9a0fqdx2cj3wkd3c9j64hnk-b',
    ])
    const contents = utf8(`${b.toAbsolute()} ${a.toAbsolute()}`)
    for (const references of [[a, b], [b, a], [b, a, b, a], new Set([a, b])]) {
      expect(textStorePath('two', contents, references).toString()).toBe(
        '9mln60m9xcdzc7smjrz5y0dwb8hskbw2-two',
      )
    }
  })
})

describe('sources and fixed outputs', () => {
  test.each<[string, string, ContentAddressMethod, HashAlgorithm, string, string]>([
    [
      'S-5',
      'helloworld',
      'recursive',
      'sha256',
      '03e7f63be30b065d78bcf615f5473545fdb4eb69aa416f43495b4e05cdfb8040',
      'vf9s1dz1a2nbnnilsxnaa3ri1c0m9kwg',
    ],
    [
      'S-6',
      'helloworld',
      'flat',
      'md5',
      'ed076287532e86365e841e92bfc50d8c',
      '1bxr9gimiqm5wxw6174pc3rhghp3y5sm',
    ],
    [
      'S-6r',
      'helloworld',
      'recursive',
      'md5',
      '00d8bb856df42fa018713458ee68e37a',
      'g83g15b2279qgwljz335lby5g8wq987m',
    ],
    [
      'S-7',
      'helloworld',
      'flat',
      'sha1',
      '2ef7bde608ce5404e97d5f042f95f89f1c232871',
      'rp58c4cagqsibxwgr055cnlirbypcjif',
    ],
    [
      'S-7r',
      'helloworld',
      'recursive',
      'sha1',
      'dc5bf488f1b6eafda0ec0c0cb8b39a68b253bb62',
      'ayciqrv1fpicasf63sx5q63r1l0l6sp9',
    ],
    [
      'S-8',
      'helloworld',
      'flat',
      'sha256',
      '7f83b1657ff1fc53b92dc18148a1d65dfc2d4b1fa3d677284addd200126d9069',
      '53fn6f2is6kaplds62zzkvyb79fkj51f',
    ],
    [
      'S-9',
      'helloworld',
      'flat',
      'sha512',
      '861844d6704e8573fec34d967e20bcfef3d424cf48be04e6dc08f2bd58c729743371015ead891cc3cf1c9d34b49264b510751b1ff9e537937bc46b5d6ff4ecc8',
      '1h4gi9gisgnfdhrfpa05ybdx0qz7svap',
    ],
    [
      'S-9',
      'helloworld',
      'recursive',
      'sha512',
      'f238a9e9460aba64ed3913d77accda5d2e7a2ff11d2481f38800b34ad64e069a291e214edc06972e119899f5d386767f7525c4f204f84b0f556363af461af436',
      'kslmkvnhyx4wc9dzp74wsbzn1fbl6ff2',
    ],
    [
      'S-10 N-1',
      'empty',
      'recursive',
      'sha256',
      '77ac62e2629d8e45f624589c0c8bf99e24b3a722349bf1e79bc186008534e246',
      'lx5i78a4izwk2qj1nq8rdc07y8zrwy90',
    ],
    [
      'S-10 N-5',
      'emptyexe',
      'recursive',
      'sha256',
      '34e00b8592a6ad465851a46a67464e076102fd5106ca6cb33a2f15009d30d590',
      'y5ln9h3mmdm7pd6gsxadi9zd5y5igird',
    ],
    [
      'S-10 N-8',
      'exe',
      'recursive',
      'sha256',
      '5e0accf02cedede5e4119ffa15e79e79a5fb1fb9bc43c3d434f33227a14477a0',
      'jyirdwiddjaf1lhkixc32rkghg5vd3xm',
    ],
    [
      'S-10 N-4',
      'symlink',
      'recursive',
      'sha256',
      '097d397e9b5826384eaa16c457715d1c1a51670313ead0f58566e0b232539cf1',
      '11i0w7x0adl6iyydsilpl0nc8v1zc2m4',
    ],
    [
      'S-10 N-2',
      'emptydir',
      'recursive',
      'sha256',
      'a50a5ab6d992f5598edd92105059fae9acfc192981e08bd88534c2167e92526a',
      'lllr7wi039bd69ihd6vfarlcz5j7v52d',
    ],
    [
      'S-10 N-6',
      'nested',
      'recursive',
      'sha256',
      'ebd52279a8df024c9fd5718de4103bf5e760dc7f2cf49044ee7dea87ab16911a',
      'hzc8s1byh3yibrzdifyq4alsibnq5pi1',
    ],
    [
      'S-10 N-11',
      'sorted',
      'recursive',
      'sha256',
      '0a6851ba8b65d7e15abf749ba8bd501f2ea109ff890d6f46160a055322bf997b',
      'n7yz8k16gwqvzj38cc9xzjs01njr0sap',
    ],
    [
      'S-10b',
      '.gitignore',
      'recursive',
      'sha256',
      '77ac62e2629d8e45f624589c0c8bf99e24b3a722349bf1e79bc186008534e246',
      'fli4bwscgna7lpm7v5xgnjxrxh0yc7ra',
    ],
    [
      'S-10b',
      'emptydir',
      'recursive',
      'sha1',
      '6b4e26abccbb6e379585a0130d959458491e025f',
      'v9zxx3vljjxzxk4cpiaxga97281yb5ja',
    ],
    [
      'S-10b',
      'nested',
      'recursive',
      'sha1',
      '47de7b79dd27fcac4e1202fe761d0890c1321e59',
      'dy6gdknflbw8f123fvgvk873vrlwr82i',
    ],
    [
      'S-12',
      'bar',
      'recursive',
      'sha256',
      '08813cbee9903c62be4c5027726a418a300da4500b2d369d3af9286f4815ceba',
      '4q0pg5zpfmznxscq3avycvf9xdvx50n3',
    ],
    [
      'S-16',
      'bar',
      'recursive',
      'sha1',
      '0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33',
      'mp57d33657rf34lzvlbpfa1gjfv5gmpg',
    ],
    [
      'S-18',
      'src.tar.gz',
      'flat',
      'sha256',
      '7f83b1657ff1fc53b92dc18148a1d65dfc2d4b1fa3d677284addd200126d9069',
      'qp5agyps5j21z369zmng07ir69ny3z9j',
    ],
    [
      'S-19, FET-1',
      'notmuch-extract-patch',
      'flat',
      'sha256',
      '0nawkl04sj7psw6ikzay7kydj3dhd0fkwghcsf5rzaw4bmp4kbax',
      '06qi00hylriyfm0nl827crgjvbax84mz',
    ],
    [
      '06 7.3',
      'doesntmatter',
      'recursive',
      'sha256',
      '097d397e9b5826384eaa16c457715d1c1a51670313ead0f58566e0b232539cf1',
      'v3r2js24npzm0ikvgyfbhnjgh2a96k1w',
    ],
    [
      '06 7.3',
      'root',
      'recursive',
      'sha256',
      '03e7f63be30b065d78bcf615f5473545fdb4eb69aa416f43495b4e05cdfb8040',
      'zhyr2cw9j1s4yxi24fy1gpbcxilibd45',
    ],
    [
      '06 7.3',
      'complicated',
      'recursive',
      'sha256',
      'ebd52279a8df024c9fd5718de4103bf5e760dc7f2cf49044ee7dea87ab16911a',
      'pngqdzggfqs4q7fg6iywqnlzcgsp85qr',
    ],
    [
      '06 7.3',
      'hello.txt',
      'flat',
      'sha256',
      '7f83b1657ff1fc53b92dc18148a1d65dfc2d4b1fa3d677284addd200126d9069',
      'z304n4ccbya3lf8bq20sl2zhmzd3lx1a',
    ],
  ])('09#77 %s %s, %s %s', (_, name, method, algorithm, digest, expected) => {
    const path = buildStorePath(name, address(method, algorithm, digest))
    expect(path.toString()).toBe(`${expected}-${name}`)
  })

  test('09#77 S-5 through the shortcut for sources', () => {
    const nar = fromHex('03e7f63be30b065d78bcf615f5473545fdb4eb69aa416f43495b4e05cdfb8040')
    expect(narStorePath('helloworld', nar).toString()).toBe('vf9s1dz1a2nbnnilsxnaa3ri1c0m9kwg-helloworld')
  })

  test('09#77 S-11 with a reference; one to itself gives another path', () => {
    const baz = address('recursive', 'sha256', '1xqkzcb3909fp07qngljr4wcdnrh1gdam1m2n29i6hhrxlmkgkv1')
    const references = [StorePath.parse('dxwkwjzdaq7ka55pkk252gh32bgpmql4-foo')]
    expect(buildStorePath('baz', baz, { references }).toString()).toBe('s89y431zzhmdn3k8r96rvakryddkpv2v-baz')
    const paths = [{}, { references }, { self: true }, { references, self: true }].map((given) =>
      buildStorePath('baz', baz, given).toString(),
    )
    expect(new Set(paths).size).toBe(4)
  })
})

describe('refused', () => {
  const text = new ContentAddress('text', NixHash.of('sha256', hello))
  test.each<[string, ContentAddress, { references?: StorePath[]; self?: boolean }]>([
    ['a text that refers to itself', text, { self: true }],
    ['a flat file with a reference', address('flat', 'sha256', '0'.repeat(64)), { references: [foo] }],
    ['a flat file that refers to itself', address('flat', 'sha256', '0'.repeat(64)), { self: true }],
    ['recursive SHA-1 with a reference', address('recursive', 'sha1', '0'.repeat(40)), { references: [foo] }],
    [
      'recursive SHA-512 that refers to itself',
      address('recursive', 'sha512', '0'.repeat(128)),
      { self: true },
    ],
  ])('%s', (_, contentAddress, references) => {
    const error = refusal(BuildStorePathError, () => buildStorePath('n', contentAddress, references))
    expect([error.code, error.pathName]).toEqual(['invalid-reference', 'n'])
  })

  test.each(['', '.', '..-x', 'a/b', 'n'.repeat(212), 'ä'])('the name %j', (name) => {
    for (const build of [
      () => buildStorePath(name, text),
      () => narStorePath(name, new Uint8Array(32)),
      () => outputStorePath(name, 'out', new Uint8Array(32)),
    ]) {
      const error = refusal(BuildStorePathError, build)
      expect([error.code, error.pathName]).toEqual(['invalid-store-path', name])
      expect(error.cause).toMatchObject({ name: 'StorePathError' })
    }
  })
})

describe('pieces', () => {
  test('09#77 S-20 placeholder', () => {
    expect(placeholder('out')).toBe('/1rz4g4znpzjwh1xymhjpm42vipw92pr73vdgl6xs1hycac8kf2n9')
    expect(placeholder('dev')).not.toBe(placeholder('out'))
  })

  test('09#77 B-16 folding, and to other lengths', () => {
    const digest = NixHash.of('sha256', hello).digest
    expect(toHex(foldDigest(digest, 20))).toBe('dc55c64d352c2e53ab4051e848a1d65dfc2d4b1f')
    expect(foldDigest(digest, 32)).toEqual(digest)
    expect(toHex(foldDigest(Uint8Array.of(1, 2, 3), 2))).toBe('0202')
    expect(toHex(foldDigest(Uint8Array.of(1, 2), 3))).toBe('010200')
  })

  test('the name of an output’s path', () => {
    expect(outputPathName('hello', 'out')).toBe('hello')
    expect(outputPathName('hello', 'dev')).toBe('hello-dev')
  })
})
