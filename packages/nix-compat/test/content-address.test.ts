import { ContentAddress, ContentAddressError, HASH_ALGORITHMS, NixHash } from '@neve/nix-compat'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { anyText } from './any-text.js'
import { acceptedOr, refusal, utf8 } from './refusal.js'

const hello = utf8('Hello World!')

describe('content addresses', () => {
  test.each<[string, ContentAddress, string]>([
    [
      'S-1',
      new ContentAddress('text', NixHash.of('sha256', utf8('bar'))),
      'text:sha256:1fcgpy7vc4ammr7s17j2xq88scswkgz23dqzc04g8sx5vcp2pppw',
    ],
    [
      'S-5',
      new ContentAddress(
        'recursive',
        NixHash.parse('03e7f63be30b065d78bcf615f5473545fdb4eb69aa416f43495b4e05cdfb8040', 'sha256'),
      ),
      'fixed:r:sha256:0h40zg6hakjv951nyhdad7mv9za56m3za5gnpiw5s1hbwcxzdrq3',
    ],
    ['S-6', new ContentAddress('flat', NixHash.of('md5', hello)), 'fixed:md5:4c1p2vz4hyhig3d1ifaf3n41zd'],
    [
      'S-6r',
      new ContentAddress('recursive', NixHash.parse('00d8bb856df42fa018713458ee68e37a', 'md5')),
      'fixed:r:md5:3swdlfwn1lf4ca0bzldn2vpn00',
    ],
    [
      'S-7',
      new ContentAddress('flat', NixHash.of('sha1', hello)),
      'fixed:sha1:f4l2674zz2ajy12zgplh8m6f13kbvxrf',
    ],
    [
      'S-7r',
      new ContentAddress('recursive', NixHash.parse('dc5bf488f1b6eafda0ec0c0cb8b39a68b253bb62', 'sha1')),
      'fixed:r:sha1:caxm7ck8karvh30cxjhgvsmny64g8nyw',
    ],
    [
      'S-8',
      new ContentAddress('flat', NixHash.of('sha256', hello)),
      'fixed:sha256:0schdl901lnx98l7gmm33x5jvz2xsshli0f15nwm7z7igxjv30vz',
    ],
  ])('%s as Nix records it', (_, address, text) => {
    expect(address.toString()).toBe(text)
    const parsed = ContentAddress.parse(text)
    expect(parsed).toEqual(address)
    expect(parsed.equals(address)).toBe(true)
    expect(JSON.stringify([parsed])).toBe(`["${text}"]`)
  })

  test('all methods and algorithms round trip, and differ', () => {
    const texts = HASH_ALGORITHMS.flatMap((algorithm) =>
      (['flat', 'recursive'] as const).map((method) =>
        new ContentAddress(method, NixHash.of(algorithm, hello)).toString(),
      ),
    )
    expect(new Set(texts).size).toBe(8)
    for (const text of texts) expect(ContentAddress.parse(text).toString()).toBe(text)
    expect(ContentAddress.parse(texts[0]!).equals(ContentAddress.parse(texts[1]!))).toBe(false)
  })

  test.each([
    ['', 'unknown-method'],
    ['sha256:0schdl901lnx98l7gmm33x5jvz2xsshli0f15nwm7z7igxjv30vz', 'unknown-method'],
    ['TEXT:sha256:0schdl901lnx98l7gmm33x5jvz2xsshli0f15nwm7z7igxjv30vz', 'unknown-method'],
    ['fixed', 'unknown-method'],
    ['git:sha1:f4l2674zz2ajy12zgplh8m6f13kbvxrf', 'unknown-method'],
    ['text:sha1:f4l2674zz2ajy12zgplh8m6f13kbvxrf', 'unknown-algorithm'],
    ['text:r:sha256:0schdl901lnx98l7gmm33x5jvz2xsshli0f15nwm7z7igxjv30vz', 'unknown-algorithm'],
    ['fixed:', 'unknown-algorithm'],
    ['fixed:r:', 'unknown-algorithm'],
    ['fixed:r:r:sha1:f4l2674zz2ajy12zgplh8m6f13kbvxrf', 'unknown-algorithm'],
    ['fixed:sha384:f4l2674zz2ajy12zgplh8m6f13kbvxrf', 'unknown-algorithm'],
    ['fixed:sha1', 'invalid-digest'],
    ['fixed:sha1:', 'invalid-digest'],
    ['fixed:sha1:2ef7bde608ce5404e97d5f042f95f89f1c232871', 'invalid-digest'],
    ['fixed:md5:zzzzzzzzzzzzzzzzzzzzzzzzzz', 'invalid-digest'],
    ['fixed:sha1:f4l2674zz2ajy12zgplh8m6f13kbvxrf ', 'invalid-digest'],
    ['fixed:sha1:F4L2674ZZ2AJY12ZGPLH8M6F13KBVXRF', 'invalid-digest'],
  ])('%j is refused', (text, code) => {
    const error = refusal(ContentAddressError, () => ContentAddress.parse(text))
    expect(error.code).toBe(code)
    expect(error.message).toMatch(/^content address: expected .*, got /)
  })

  test('fuzz: any text is refused, or prints as it was', () => {
    const seed = fc.constantFrom(
      'text:sha256:1fcgpy7vc4ammr7s17j2xq88scswkgz23dqzc04g8sx5vcp2pppw',
      'fixed:r:sha1:caxm7ck8karvh30cxjhgvsmny64g8nyw',
      'fixed:md5:4c1p2vz4hyhig3d1ifaf3n41zd',
    )
    const mutated = fc
      .tuple(fc.oneof(seed, fc.string()), fc.nat(60), fc.nat(3), anyText(3))
      .map(([text, at, cut, insert]) => text.slice(0, at) + insert + text.slice(at + cut))
    fc.assert(
      fc.property(mutated, (text) => {
        const address = acceptedOr(ContentAddressError, () => ContentAddress.parse(text))
        if (address !== undefined) expect(address.toString()).toBe(text)
      }),
      { numRuns: 3000 },
    )
  })
})
