import {
  fingerprint,
  NixHash,
  PublicKey,
  SecretKey,
  Signature,
  SignatureError,
  StorePath,
  trustedSignature,
} from '@neve/nix-compat'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import * as plain from '../src/ed25519.js'
import * as native from '../src/ed25519.node.js'
import { CACHE_KEY } from './narinfo-texts.js'
import { acceptedOr, fromHex, refusal, utf8 } from './refusal.js'

// Published test keys: they protect nothing.
const SECRET =
  'test-key-1:oM+3It6jVic4+ieWQpV1ocmmSjVqRoWivRSl607ccgwdVQAp63vBuEQSrry+VO1v2oDUH80gjVBhY7DdVfL2Rw=='
const PUBLIC = 'test-key-1:HVUAKet7wbhEEq68vlTtb9qA1B/NII1QYWOw3VXy9kc='
const CURL =
  '1;/nix/store/syd87l2rxw8cbsxmxl853h0r6pdwhwjr-curl-7.82.0-bin;sha256:1b4sb93wp679q4zx9k1ignby1yna3z7c4c2ri3wphylbc2dwsys0;196040;/nix/store/0jqd0rlxzra1rs38rdxl43yh6rxchgc6-curl-7.82.0,/nix/store/6w8g7njm4mck5dmjxws0z1xnrxvl81xa-glibc-2.34-115,/nix/store/j5jxw3iy7bbz4a57fh9g2xm2gxmyal8h-zlib-1.2.12,/nix/store/yxvjs9drzsphm9pcf42a4byzj1kb9m7k-openssl-1.1.1n'
const CURL_SIGNATURE =
  'cache.nixos.org-1:TsTTb3WGTZKphvYdBHXwo6weVILmTytUjLB+vcX89fOjjRicCHmKA4RCPMVLkj6TMJ4GMX3HPVWRdD1hkeKZBQ=='
const TEST1 = 'test1:tLAEn+EeaBUJYqEpTd2yeerr7Ic6+0vWe+aXL/vYUpE='
const TEST1_SIGNATURE =
  'test1:519iiVLx/c4Rdt5DNt6Y2Jm6hcWE9+XY69ygiWSZCNGVcmOcyL64uVAJ3cV8vaTusIZdbTnYo9Y7vDNeTmmMBQ=='

describe('keys', () => {
  test('09#89 a key pair as Nix makes it', () => {
    const secret = SecretKey.parse(SECRET)
    expect(secret.publicKey.toString()).toBe(PUBLIC)
    expect(secret.toSecretText()).toBe(SECRET)
    expect(SecretKey.parse(`${SECRET}\n`).name).toBe('test-key-1')
    const seed = fromHex('a0cfb722dea3562738fa2796429575a1c9a64a356a4685a2bd14a5eb4edc720c')
    expect(new SecretKey('test-key-1', seed).toSecretText()).toBe(SECRET)
    expect(PublicKey.parse(PUBLIC).equals(secret.publicKey)).toBe(true)
  })

  test('what is secret is not shown', () => {
    const secret = SecretKey.parse(SECRET)
    expect(JSON.stringify(secret)).not.toContain('oM+3')
    expect(String(secret)).not.toContain('oM+3')
    const body = SECRET.slice(11)
    for (const text of [body, `k:${body.slice(4)}`, `k:!${body.slice(1)}`, `k:${body.slice(0, -3)}A==`]) {
      expect(refusal(SignatureError, () => SecretKey.parse(text)).message).not.toContain('3It6jVic4')
    }
  })

  test('new keys differ, and sign', () => {
    const [a, b] = [SecretKey.generate('a'), SecretKey.generate('b')]
    expect(a.publicKey.bytes).not.toEqual(b.publicKey.bytes)
    expect(a.publicKey.verify('x', a.sign('x'))).toBe(true)
    expect(SecretKey.parse(a.toSecretText()).sign('x').equals(a.sign('x'))).toBe(true)
  })

  test.each([
    ['no name and colon', PUBLIC.slice(11), 'missing-separator'],
    ['an empty name', PUBLIC.slice(10), 'invalid-name'],
    ['a name with a line end', `a\nb${PUBLIC.slice(10)}`, 'invalid-name'],
    ['a name with an escape', `a\u001b${PUBLIC.slice(10)}`, 'invalid-name'],
    ['a long name', `${'a'.repeat(256)}${PUBLIC.slice(10)}`, 'invalid-name'],
    ['no padding', PUBLIC.slice(0, -1), 'invalid-length'],
    ['a short body', PUBLIC.slice(0, -5), 'invalid-length'],
    ['bad base64', `${PUBLIC.slice(0, -2)}*=`, 'invalid-encoding'],
    ['31 bytes', `k:${'A'.repeat(42)}==`, 'invalid-length'],
    ['no point of the curve', `k:Ag${'A'.repeat(41)}=`, 'invalid-key'],
    ['the neutral point', `k:AQ${'A'.repeat(41)}=`, 'invalid-key'],
    ['a point of small order', `k:${'A'.repeat(43)}=`, 'invalid-key'],
  ])('09#89 refused public key: %s', (_name, text, code) => {
    expect(refusal(SignatureError, () => PublicKey.parse(text)).code).toBe(code)
  })

  const cache =
    'cache.example.com-1:cCta2MEsRNuYCgWYyeRXLyfoFpKhQJKn8gLMeXWAb7vIpRKKo/3JoxJ24OYa3DxT2JVV38KjK/1ywHWuMe2JEw=='
  test.each([
    ['the last characters missing', cache.slice(0, -4), 'invalid-length'],
    ['no colon', cache.replace(':', ''), 'missing-separator'],
    ['another public half', `${cache.slice(0, -8)}AAAAAA==`, 'invalid-key'],
    ['a public key', PUBLIC, 'invalid-length'],
  ])('07 11.5 refused secret key: %s', (_name, text, code) => {
    expect(SecretKey.parse(cache).publicKey.toString()).toBe(
      'cache.example.com-1:yKUSiqP9yaMSduDmGtw8U9iVVd/Coyv9csB1rjHtiRM=',
    )
    expect(refusal(SignatureError, () => SecretKey.parse(text)).code).toBe(code)
  })
})

describe('signatures', () => {
  const key = PublicKey.parse(CACHE_KEY)

  test.each([
    [
      '1;/nix/store/vf9s1dz1a2nbnnilsxnaa3ri1c0m9kwg-helloworld;sha256:0h40zg6hakjv951nyhdad7mv9za56m3za5gnpiw5s1hbwcxzdrq3;128;',
      'test-key-1:pDuMDfopqTNB+AlSASwoNmau9zS3LQsH3XEAlBKglCjj2wgWnLUkaRufSjS5dy1l+16ny1MdxTu1DX3UN3uYBA==',
    ],
    [
      '1;/nix/store/vxjiwkjkn7x4079qvh1jkl5pn05j2aw0-foo;sha256:1xngcmsdkdvaycaqjfzvq4gr3gib56p2l8illglnsqzhpss47pxz;120;',
      'test-key-1:z6LprWJSnBznU9S1JQ9ARlg7ODwhtV0WnpPywgcf4SHmTOV+ernsy8s1nanZ0lSpFfWD2cwhE4uKUS/+r70QAw==',
    ],
    [
      '1;/nix/store/5xd714cbfnkz02h2vbsj4fm03x3f15nf-baz;sha256:0m29vxh7maf5ml5dyq7vy0ah53zah45pvy8yk5y8la4nnla95gfi;160;/nix/store/vxjiwkjkn7x4079qvh1jkl5pn05j2aw0-foo',
      'test-key-1:6mA5HOIdy5F8UG5tp1Qqp4KghFuFrHXIWaCfzkTRVibldUxhM7w47V6zj6ZkaknrPLW6Xkq7m24n5jTWNlLYDA==',
    ],
  ])('09#89 G-2 as Nix makes them: %s', (text, signature) => {
    expect(SecretKey.parse(SECRET).sign(text).toString()).toBe(signature)
    expect(PublicKey.parse(PUBLIC).verify(text, Signature.parse(signature))).toBe(true)
  })

  test('09#89 G-3 of the public cache', () => {
    const signature = Signature.parse(CURL_SIGNATURE)
    expect(key.verify(CURL, signature)).toBe(true)
    expect(PublicKey.parse(TEST1).verify(CURL, Signature.parse(TEST1_SIGNATURE))).toBe(true)
    const changed = Signature.parse(
      'cache.nixos.org-1:TsTTb000000000000000000000000ytUjLB+vcX89fOjjRicCHmKA4RCPMVLkj6TMJ4GMX3HPVWRdD1hkeKZBQ==',
    )
    expect(key.verify(CURL, changed)).toBe(false)
    expect(key.verify(CURL.slice(0, 5), signature)).toBe(false)
    for (const name of ['cache.nixos.org', 'cache.nixos.org-2']) {
      const renamed = new PublicKey(name, key.bytes)
      expect(renamed.verify(CURL, signature)).toBe(false)
      expect(renamed.verifyBytes(CURL, signature.data)).toBe(true)
    }
  })

  test('refused: what no signature is', () => {
    const rows = [
      ['', 'missing-separator'],
      [`${CURL_SIGNATURE.slice(18)}`, 'missing-separator'],
      [CURL_SIGNATURE.slice(17), 'invalid-name'],
      [`${CURL_SIGNATURE}=`, 'invalid-length'],
      [CURL_SIGNATURE.replace('TsTT', 'T*TT'), 'invalid-encoding'],
    ] as const
    for (const [text, code] of rows) {
      expect(refusal(SignatureError, () => Signature.parse(text)).code).toBe(code)
    }
    expect(refusal(SignatureError, () => new Signature('k', new Uint8Array(63))).code).toBe('invalid-length')
  })

  test('fuzz: any text is refused, or prints as it was', () => {
    const change = fc.tuple(fc.nat(110), fc.nat(4), fc.string({ maxLength: 4 }))
    fc.assert(
      fc.property(change, ([at, cut, insert]) => {
        const text = CURL_SIGNATURE.slice(0, at) + insert + CURL_SIGNATURE.slice(at + cut)
        const signature = acceptedOr(SignatureError, () => Signature.parse(text))
        if (signature !== undefined) expect(signature.toString()).toBe(text)
      }),
      { numRuns: 2000 },
    )
  })
})

describe('fingerprints', () => {
  const [head, references] = [CURL.slice(0, CURL.lastIndexOf(';')), CURL.slice(CURL.lastIndexOf(';') + 1)]
  const [, path, hash, size] = head.split(';') as [string, string, string, string]
  const info = {
    storePath: StorePath.parseAbsolute(path),
    narHash: NixHash.parse(hash),
    narSize: BigInt(size),
    references: references.split(',').map((reference) => StorePath.parseAbsolute(reference)),
  }

  test('07 11.5 c: the text that is signed, references sorted and each once', () => {
    expect(fingerprint(info)).toBe(CURL)
    expect(fingerprint({ ...info, references: info.references.toReversed() })).toBe(CURL)
    expect(fingerprint({ ...info, references: [...info.references, ...info.references] })).toBe(CURL)
    expect(fingerprint({ ...info, references: [] })).toBe(`${head};`)
  })

  test('trust: any signature of any key, also over the order in the file', () => {
    const [good, test1] = [Signature.parse(CURL_SIGNATURE), Signature.parse(TEST1_SIGNATURE)]
    const keys = [PublicKey.parse(PUBLIC), PublicKey.parse(CACHE_KEY)]
    expect(trustedSignature({ ...info, signatures: [test1, good] }, keys)).toBe(good)
    expect(trustedSignature({ ...info, signatures: [test1] }, keys)).toBeUndefined()
    const reversed = { ...info, references: info.references.toReversed() }
    expect(trustedSignature({ ...reversed, signatures: [good] }, keys)).toBe(good)
    const secret = SecretKey.parse(SECRET)
    const legacy = secret.sign(`${head};${references.split(',').reverse().join(',')}`)
    expect(trustedSignature({ ...reversed, signatures: [legacy] }, [secret.publicKey])).toBe(legacy)
    expect(trustedSignature({ ...info, signatures: [legacy] }, [secret.publicKey])).toBeUndefined()
  })
})

describe('Ed25519', () => {
  test('in plain JavaScript gives the same as in Node', () => {
    const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 })
    fc.assert(
      fc.property(bytes32, fc.uint8Array({ maxLength: 200 }), fc.nat(63), (seed, message, at) => {
        const publicKey = native.publicKeyOf(seed)
        expect(plain.publicKeyOf(seed)).toEqual(publicKey)
        const signature = native.signer(seed)(message)
        expect(new Uint8Array(plain.signer(seed)(message))).toEqual(signature)
        const wrong = signature.with(at, signature[at]! ^ 1)
        for (const { verifier } of [native, plain]) {
          expect(verifier(publicKey)(message, signature)).toBe(true)
          expect(verifier(publicKey)(message, wrong)).toBe(false)
        }
      }),
      { numRuns: 25 },
    )
  })

  test('a scalar that is not reduced is refused', () => {
    const secret = SecretKey.parse(SECRET)
    const { data } = secret.sign('x')
    const order = (1n << 252n) + 27742317777372353535851937790883648493n
    let scalar = BigInt(`0x${Buffer.from(data.subarray(32).toReversed()).toString('hex')}`) + order
    const forged = new Uint8Array(data)
    for (let i = 32; i < 64; i++, scalar >>= 8n) forged[i] = Number(scalar & 0xffn)
    for (const { verifier } of [native, plain]) {
      expect(verifier(secret.publicKey.bytes)(utf8('x'), data)).toBe(true)
      expect(verifier(secret.publicKey.bytes)(utf8('x'), forged)).toBe(false)
    }
  })
})
