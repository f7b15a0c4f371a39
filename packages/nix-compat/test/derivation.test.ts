import {
  ContentAddress,
  type ContentAddressMethod,
  Derivation,
  DerivationError,
  type DerivationInit,
  NixHash,
  StorePath,
} from '@neve/nix-compat'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compareUtf8 } from '../src/utf8-order.js'
import { acceptedOr, refusal, toHex, utf8 } from './refusal.js'

const barAterm =
  'Derive([("out","/nix/store/4q0pg5zpfmznxscq3avycvf9xdvx50n3-bar","r:sha256","08813cbee9903c62be4c5027726a418a300da4500b2d369d3af9286f4815ceba")],[],[],":",":",[],[("builder",":"),("name","bar"),("out","/nix/store/4q0pg5zpfmznxscq3avycvf9xdvx50n3-bar"),("outputHash","08813cbee9903c62be4c5027726a418a300da4500b2d369d3af9286f4815ceba"),("outputHashAlgo","sha256"),("outputHashMode","recursive"),("system",":")])'
const maskedFooAterm =
  'Derive([("out","","","")],[("724f3e3634fce4cbbbd3483287b8798588e80280660b9a63fd13a1bc90485b33",["out"])],[],":",":",[],[("bar","/nix/store/4q0pg5zpfmznxscq3avycvf9xdvx50n3-bar"),("builder",":"),("name","foo"),("out",""),("system",":")])'

const never = (path: StorePath): Uint8Array => {
  throw new Error(`asked for ${path.toString()}`)
}

/** The fixed-output derivation `bar`, without its path, and what depends on it, as in spec 09 section 15.3. */
function bar(algorithm: 'sha256' | 'sha1', digest: string): Derivation {
  const address = new ContentAddress('recursive', NixHash.parse(digest, algorithm))
  return new Derivation({
    outputs: [['out', { address }]],
    system: ':',
    builder: ':',
    environment: Object.entries({
      builder: ':',
      name: 'bar',
      out: '',
      outputHash: digest,
      outputHashAlgo: algorithm,
      outputHashMode: 'recursive',
      system: ':',
    }),
  }).withOutputPaths('bar', new Uint8Array(32))
}

function dependingOn(derivation: Derivation): Derivation {
  return new Derivation({
    outputs: [['out', {}]],
    inputDerivations: [{ path: derivation.storePath('bar'), outputs: ['out'] }],
    system: ':',
    builder: ':',
    environment: Object.entries({
      bar: derivation.outputs.get('out')!.path!.toAbsolute(),
      builder: ':',
      name: 'foo',
      out: '',
      system: ':',
    }),
  })
}

const multiple = new Derivation({
  outputs: [
    ['out', {}],
    ['lib', {}],
  ],
  system: ':',
  builder: ':',
  environment: Object.entries({
    name: 'has-multi-out',
    outputs: 'lib out',
    builder: ':',
    system: ':',
    lib: '',
    out: '',
  }),
})

const sha256Bar = () => bar('sha256', '08813cbee9903c62be4c5027726a418a300da4500b2d369d3af9286f4815ceba')
const sha1Bar = () => bar('sha1', '0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33')

describe('paths and hashes', () => {
  test('09#77 S-13 the ATerm of bar, written and read', () => {
    expect(new TextDecoder().decode(sha256Bar().toAterm())).toBe(barAterm)
    expect(Derivation.parse(utf8(barAterm))).toEqual(sha256Bar())
    expect(sha256Bar().storePath('bar').toString()).toBe('0hm2f1psjpcwg8fijsmr4wwxrx59s092-bar.drv')
  })

  test.each([
    [
      'HDM-1',
      sha256Bar,
      '0hm2f1psjpcwg8fijsmr4wwxrx59s092',
      '724f3e3634fce4cbbbd3483287b8798588e80280660b9a63fd13a1bc90485b33',
    ],
    [
      'HDM-2',
      sha1Bar,
      'ss2p4wmxijn652haqyd7dckxwl4c7hxx',
      'c79aebd0ce3269393d4a1fde2cbd1d975d879b40f0bf40a48f550edc107fd5df',
    ],
  ])('09#78 %s hash modulo of a fixed-output derivation, nothing asked', (_, make, path, modulo) => {
    const derivation = make()
    expect(derivation.storePath('bar').toString()).toBe(`${path}-bar.drv`)
    expect(toHex(derivation.hashModulo(never))).toBe(modulo)
  })

  test('09#78 not even when a fixed-output derivation has inputs', () => {
    const input = { path: multiple.storePath('has-multi-out'), outputs: ['out'] }
    const derivation = new Derivation({ ...sha256Bar(), inputDerivations: [input] })
    expect(derivation.hashModulo(never)).toEqual(sha256Bar().hashModulo(never))
  })

  test.each([
    [
      'S-12 to S-15',
      sha256Bar,
      ['4q0pg5zpfmznxscq3avycvf9xdvx50n3-bar', '0hm2f1psjpcwg8fijsmr4wwxrx59s092-bar.drv'],
      ['5vyvcwah9l9kf07d52rcgdk70g2f4y13-foo', '4wvvbi4jwn0prsdxb7vs673qa5h9gr7x-foo.drv'],
    ],
    [
      'S-16',
      sha1Bar,
      ['mp57d33657rf34lzvlbpfa1gjfv5gmpg-bar', 'ss2p4wmxijn652haqyd7dckxwl4c7hxx-bar.drv'],
      ['fhaj6gmwns62s6ypkcldbaj2ybvkhx3p-foo', 'ch49594n9avinrf8ip0aslidkc4lxkqv-foo.drv'],
    ],
  ] as const)(
    '09#80 09#79 %s, HDM-3, HDM-4 bar, then foo that depends on it',
    (_, make, barPaths, fooPaths) => {
      const input = make()
      expect([input.outputs.get('out')!.path, input.storePath('bar')].map(String)).toEqual(barPaths)
      expect(input.withoutOutputPaths().withOutputPaths('bar', new Uint8Array(32))).toEqual(input)

      const asked: string[] = []
      const lookup = (path: StorePath) => {
        asked.push(path.toString())
        return input.hashModulo(never)
      }
      const blank = dependingOn(input)
      const foo = blank.withOutputPaths('foo', blank.hashModulo(lookup))
      expect(asked).toEqual([barPaths[1]])
      expect([foo.outputs.get('out')!.path, foo.storePath('foo')].map(String)).toEqual(fooPaths)
      expect(new TextDecoder().decode(foo.environment.get('out'))).toBe(`/nix/store/${fooPaths[0]}`)

      expect(foo.withoutOutputPaths()).toEqual(blank)
      expect(foo.withoutOutputPaths().withOutputPaths('foo', blank.hashModulo(lookup))).toEqual(foo)
      expect(Derivation.parse(foo.toAterm())).toEqual(foo)
    },
  )

  test('09#77 S-14 the inner digest is that of the masked ATerm', () => {
    const modulo = dependingOn(sha256Bar()).hashModulo(() => sha256Bar().hashModulo(never))
    expect(modulo).toEqual(NixHash.of('sha256', utf8(maskedFooAterm)).digest)
    expect(toHex(modulo)).toBe('24c43196ac9c7b557bc525d13d16f990f730c060ae61f9133195f1c0a2ea0d9f')
  })

  test('09#77 09#79 S-17 several outputs, nothing asked', () => {
    const modulo = multiple.hashModulo(never)
    expect(toHex(modulo)).toBe('aa26889805ea974f1f7cb5a0e7a66947e7e357bccdac2b3a056fc47cc49942c7')
    const derivation = multiple.withOutputPaths('has-multi-out', modulo)
    expect([...derivation.outputs].map(([name, { path }]) => [name, String(path)])).toEqual([
      ['lib', 'sdd7lcfq98x7awxaa4s3sak3qpxbwkyc-has-multi-out-lib'],
      ['out', 'mrjgal9aa4f0p5zhwaq0p1ar74yjhc4z-has-multi-out'],
    ])
    expect(derivation.storePath('has-multi-out').toString()).toBe(
      'lihn2saaf6zygb7k288m2mxdvcwpzlyd-has-multi-out.drv',
    )
    expect(derivation.withoutOutputPaths()).toEqual(multiple)
  })

  test('inputs with one hash between them unite their outputs', () => {
    const [first, second] = [sha256Bar().storePath('bar'), sha1Bar().storePath('bar')]
    const one = (inputs: DerivationInit['inputDerivations']) =>
      new Derivation({ ...multiple, inputDerivations: inputs! }).hashModulo(() => new Uint8Array(32))
    const both = one([
      { path: first, outputs: ['dev'] },
      { path: second, outputs: ['bin'] },
    ])
    expect(both).toEqual(one([{ path: first, outputs: ['bin', 'dev'] }]))
    expect(both).not.toEqual(one([{ path: first, outputs: ['dev'] }]))
  })

  test('an error of the lookup passes through', () => {
    const failure = new Error('not known')
    const hash = () =>
      dependingOn(sha256Bar()).hashModulo(() => {
        throw failure
      })
    expect(hash).toThrow(failure)
  })

  test('a name that makes no store path names the output', () => {
    const error = refusal(DerivationError, () =>
      multiple.withOutputPaths('n'.repeat(208), new Uint8Array(32)),
    )
    expect([error.code, error.output]).toEqual(['output-path', 'lib'])
    expect(error.cause).toMatchObject({ name: 'BuildStorePathError', code: 'invalid-store-path' })
  })
})

describe('construction', () => {
  test('sorts by bytes and unites repeated inputs', () => {
    const path = sha256Bar().storePath('bar')
    const other = StorePath.parse('4q0pg5zpfmznxscq3avycvf9xdvx50n3-bar')
    const derivation = new Derivation({
      outputs: [['out', {}]],
      inputDerivations: [
        { path, outputs: ['out'] },
        { path, outputs: ['dev', 'out'] },
      ],
      inputSources: [StorePath.parse('mp57d33657rf34lzvlbpfa1gjfv5gmpg-bar'), other, other],
      system: ':',
      builder: ':',
      args: ['b', 'a', 'b'],
      environment: [
        ['\u{1f600}', 'beyond'],
        ['\uffee', 'within'],
        ['a', Uint8Array.of(0xff)],
        ['Z', '\\ " \n \r \t'],
      ],
    })
    expect(derivation.inputDerivations).toEqual([{ path, outputs: ['dev', 'out'] }])
    expect(derivation.inputSources.map(String)).toEqual([
      '4q0pg5zpfmznxscq3avycvf9xdvx50n3-bar',
      'mp57d33657rf34lzvlbpfa1gjfv5gmpg-bar',
    ])
    expect(derivation.args).toEqual(['b', 'a', 'b'])
    expect([...derivation.environment.keys()]).toEqual(['Z', 'a', '\uffee', '\u{1f600}'])
    const text = derivation.toAterm()
    expect(Buffer.from(text).toString('latin1')).toContain('("Z","\\\\ \\" \\n \\r \\t"),("a","\xff")')
    expect(Derivation.parse(text)).toEqual(derivation)
  })

  const base = { system: ':', builder: ':' }
  const address = (method: ContentAddressMethod) => new ContentAddress(method, NixHash.of('sha256', utf8('')))
  test.each<[string, DerivationInit, string]>([
    ['no outputs', { ...base, outputs: [] }, 'no-outputs'],
    ['an output without a name', { ...base, outputs: [['', {}]] }, 'invalid-output'],
    ['an output named drv', { ...base, outputs: [['drv', {}]] }, 'invalid-output'],
    ['an output with a slash', { ...base, outputs: [['a/b', {}]] }, 'invalid-output'],
    ['a text as an output', { ...base, outputs: [['out', { address: address('text') }]] }, 'invalid-output'],
    [
      'a fixed output that is not out',
      { ...base, outputs: [['lib', { address: address('flat') }]] },
      'invalid-fixed-output',
    ],
    [
      'a fixed output among others',
      {
        ...base,
        outputs: [
          ['out', { address: address('flat') }],
          ['lib', {}],
        ],
      },
      'invalid-fixed-output',
    ],
    [
      'an input that is no derivation',
      {
        ...base,
        outputs: [['out', {}]],
        inputDerivations: [{ path: StorePath.parse(`${'0'.repeat(32)}-x`), outputs: ['out'] }],
      },
      'invalid-input',
    ],
    [
      'an input of which nothing is wanted',
      {
        ...base,
        outputs: [['out', {}]],
        inputDerivations: [{ path: StorePath.parse(`${'0'.repeat(32)}-x.drv`), outputs: [] }],
      },
      'invalid-input',
    ],
    [
      'a variable without a name',
      { ...base, outputs: [['out', {}]], environment: [['', 'x']] },
      'invalid-environment',
    ],
  ])('%s is refused', (_, init, code) => {
    expect(refusal(DerivationError, () => new Derivation(init)).code).toBe(code)
  })

  test('texts are ordered as their UTF-8 bytes are', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' }), (left, right) => {
        expect(Math.sign(compareUtf8(left, right))).toBe(
          Buffer.compare(Buffer.from(left), Buffer.from(right)),
        )
      }),
    )
  })
})

describe('reading', () => {
  const minimal = 'Derive([("out","","","")],[],[],":",":",[],[])'
  const drv = '/nix/store/0hm2f1psjpcwg8fijsmr4wwxrx59s092-bar.drv'
  const path = '/nix/store/4q0pg5zpfmznxscq3avycvf9xdvx50n3-bar'

  test('the smallest derivation', () => {
    expect(new TextDecoder().decode(Derivation.parse(utf8(minimal)).toAterm())).toBe(minimal)
  })

  test.each<[string, string, string, number | undefined]>([
    ['nothing', '', 'syntax', 0],
    ['another term', 'DrvWithVersion("x",[])', 'syntax', 1],
    ['a final newline', `${minimal}\n`, 'syntax', minimal.length],
    ['a blank', minimal.replace(',[]', ', []'), 'syntax', 26],
    ['an end too early', minimal.slice(0, -1), 'syntax', minimal.length - 1],
    ['an open text', 'Derive([("out', 'syntax', 13],
    ['an open escape', 'Derive([("out\\', 'syntax', 14],
    ['an unknown escape', minimal.replace('":"', '"\\x"'), 'syntax', 34],
    ['a newline that is not escaped', minimal.replace('":"', '"\n"'), 'syntax', 33],
    ['a comma before the end of a list', minimal.replace('[],[])', '["a",],[])'), 'syntax', undefined],
    ['a missing comma', minimal.replace('[],[])', '["a""b"],[])'), 'syntax', undefined],
    ['a bare word', minimal.replace('":"', 'x'), 'syntax', 32],
    ['no outputs', minimal.replace('("out","","","")', ''), 'no-outputs', undefined],
    ['outputs out of order', minimal.replace('[(', '[("zlib","","",""),('), 'out-of-order', undefined],
    ['an output twice', minimal.replace('[(', '[("out","","",""),('), 'out-of-order', undefined],
    ['a path elsewhere', minimal.replace('"out",""', '"out","/tmp/x"'), 'invalid-output', 15],
    ['a hash without an algorithm', minimal.replace('"",""', '"","aa"'), 'invalid-output', undefined],
    ['an unknown algorithm', minimal.replace('"","",""', '"","sha3","aa"'), 'invalid-output', 8],
    ['upper-case hex', minimal.replace('"","",""', `"","md5","${'AA'.repeat(16)}"`), 'invalid-output', 8],
    ['hex too short', minimal.replace('"","",""', '"","md5","aa"'), 'invalid-output', 8],
    ['a hash to be found out', minimal.replace('"","",""', '"","r:sha256",""'), 'unsupported-output', 8],
    ['an input out of the store', minimal.replace(',[]', ',[("x.drv",["out"])]'), 'invalid-input', undefined],
    [
      'an input that is no derivation',
      minimal.replace(',[]', `,[("${path}",["out"])]`),
      'invalid-input',
      undefined,
    ],
    [
      'wanted outputs out of order',
      minimal.replace(',[]', `,[("${drv}",["out","dev"])]`),
      'out-of-order',
      undefined,
    ],
    ['nothing wanted', minimal.replace(',[]', `,[("${drv}",[])]`), 'invalid-input', undefined],
    [
      'an input twice',
      minimal.replace(',[]', `,[("${drv}",["out"]),("${drv}",["out"])]`),
      'out-of-order',
      undefined,
    ],
    ['a source twice', minimal.replace('[],":"', `["${path}","${path}"],":"`), 'out-of-order', undefined],
    [
      'a source with something within',
      minimal.replace('[],":"', `["${path}/bin"],":"`),
      'invalid-input',
      undefined,
    ],
    ['variables out of order', minimal.replace('[])', '[("b",""),("a","")])'), 'out-of-order', undefined],
    ['a variable twice', minimal.replace('[])', '[("a",""),("a","")])'), 'out-of-order', undefined],
    ['a variable without a name', minimal.replace('[])', '[("","")])'), 'invalid-environment', undefined],
  ])('%s is refused', (_, text, code, position) => {
    const error = refusal(DerivationError, () => Derivation.parse(utf8(text)))
    expect(error.code).toBe(code)
    if (position !== undefined) expect(error.position).toBe(position)
    expect(error.message).toMatch(/^derivation.*: expected .*, got /s)
  })

  test('text that is not UTF-8 is refused, but for the values of variables', () => {
    const latin1 = (text: string) => new Uint8Array(Buffer.from(text, 'latin1'))
    for (const text of [minimal.replace('":"', '"\xff"'), minimal.replace('[])', '[("\xff","")])')]) {
      expect(refusal(DerivationError, () => Derivation.parse(latin1(text))).code).toBe('not-utf8')
    }
    const accepted = latin1(minimal.replace('[])', '[("a","\xff")])'))
    expect(Derivation.parse(accepted).environment.get('a')).toEqual(Uint8Array.of(0xff))
    expect(Derivation.parse(accepted).toAterm()).toEqual(accepted)
  })

  test('fuzz: a changed derivation is refused, or written again as it was', () => {
    const foo = dependingOn(sha256Bar())
    const samples = [utf8(barAterm), foo.toAterm(), multiple.toAterm(), utf8(minimal)]
    const mutation = fc.tuple(
      fc.constantFrom(...samples),
      fc.nat(600),
      fc.nat(3),
      fc.oneof(
        fc.uint8Array({ maxLength: 3 }),
        fc.constantFrom('"', '\\', ',', '[', ']', '(', ')', '\\n').map(utf8),
      ),
    )
    let accepted = 0
    fc.assert(
      fc.property(mutation, ([sample, at, cut, insert]) => {
        const text = Buffer.concat([sample.subarray(0, at), insert, sample.subarray(at + cut)])
        const derivation = acceptedOr(DerivationError, () => Derivation.parse(text))
        if (derivation === undefined) return
        accepted++
        expect(text.equals(derivation.toAterm())).toBe(true)
      }),
      { numRuns: 3000 },
    )
    expect(accepted).toBeGreaterThan(10)
  })
})
