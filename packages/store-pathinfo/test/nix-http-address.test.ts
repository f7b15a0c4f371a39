import { B3Digest, type Node } from '@neve/castore-model'
import { formatInfusedNar, parseInfusedNar, StoreError } from '@neve/store-pathinfo'
import { parseNixHttpAddress } from '@neve/store-pathinfo/nix-http'
import { describe, expect, it } from 'vitest'
import { hex } from './support.js'

const KEY = 'cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY='
const FOO = 'foo:jp4fCEx9tBEId/L0ZsVJ26k0wC0fu7vJqLjjIGFkup8='

describe('07#46 addresses of binary caches', () => {
  it.each([
    ['nix+https://cache.nixos.org', 'https://cache.nixos.org/', []],
    ['nix+http://cache.nixos.org', 'http://cache.nixos.org/', []],
    ['nix+http://192.0.2.1/foo', 'http://192.0.2.1/foo/', []],
    ['nix+http://[::1]:8080/foo', 'http://[::1]:8080/foo/', []],
    ['nix+http://[::1]:8080/foo/', 'http://[::1]:8080/foo/', []],
    [`nix+https://cache.nixos.org?trusted_public_keys[0]=${KEY}`, 'https://cache.nixos.org/', [KEY]],
    [
      `nix+https://cache.nixos.org?trusted_public_keys[0]=${KEY}&trusted_public_keys[1]=${FOO}`,
      'https://cache.nixos.org/',
      [KEY, FOO],
    ],
    [
      `nix+https://cache.nixos.org?trusted-public-keys=${KEY}%20${FOO}`,
      'https://cache.nixos.org/',
      [KEY, FOO],
    ],
    [
      `nix+https://cache.nixos.org?trusted-public-keys=${KEY.replace('+', '%2B')}`,
      'https://cache.nixos.org/',
      [KEY],
    ],
  ])('%s', (address, url, keys) => {
    const parsed = parseNixHttpAddress(address)
    expect(parsed.url.href).toBe(url)
    expect(parsed.trustedPublicKeys.map(String)).toEqual(keys)
    expect(parsed.forceDownloadNar).toBe(false)
  })

  it('force_download_nar', () => {
    const forced = `nix+https://cache.nixos.org?trusted_public_keys[0]=${KEY}&force_download_nar=true`
    expect(parseNixHttpAddress(forced).forceDownloadNar).toBe(true)
    expect(parseNixHttpAddress(forced.replace('true', 'false')).forceDownloadNar).toBe(false)
  })

  it.each([
    'nix+grpc://example.com',
    'nix+http:///',
    'nix+http:///host',
    'nix+http:',
    'nix+http:host',
    'http://cache.nixos.org',
    '',
    `nix+https://cache.nixos.org?trusted_public_keys=${KEY}`,
    `nix+https://cache.nixos.org?trustedpublickeys=${KEY}`,
    `nix+https://cache.nixos.org?trusted_public_keys[1]=${KEY}`,
    `nix+https://cache.nixos.org?trusted_public_keys[0]=${KEY}&trusted_public_keys[0]=${FOO}`,
    'nix+https://cache.nixos.org?trusted_public_keys[0]=nonsense',
    'nix+https://cache.nixos.org?force_download_nar=yes',
    'nix+https://cache.nixos.org#fragment',
  ])('refused: %j', (address) => {
    expect(() => parseNixHttpAddress(address)).toThrow(StoreError)
  })

  it('a password is not shown', () => {
    expect(() => parseNixHttpAddress('nix+https://me:secret@host?x=y')).toThrow(
      /^(?!.*secret).*unknown option x/,
    )
  })
})

describe('07#40 NARs that name their castore node', () => {
  const directory: Node = {
    kind: 'directory',
    digest: B3Digest.from(hex('3f951a15afd586fb3121ef4d13d582e811ce0e5a7f21c0497fd87490e9e2355a')),
    size: 4n,
  }
  const file: Node = {
    kind: 'file',
    digest: B3Digest.from(hex('5ca7815adcb484e9a136c11efe69c1d530176d549b5d18d038eb5280b4b3470c')),
    size: 12n,
    executable: false,
  }

  it.each([
    [directory, 'CiQSID-VGhWv1Yb7MSHvTRPVgugRzg5afyHASX_YdJDp4jVaGAQ'],
    [file, 'EiQSIFyngVrctITpoTbBHv5pwdUwF21Um10Y0DjrUoC0s0cMGAw'],
  ])('written and read: $kind', (node, text) => {
    const url = formatInfusedNar({ node, narSize: 42n })
    expect(url).toBe(`nar/snix-castore/${text}?narsize=42`)
    expect(parseInfusedNar(url)).toEqual({ node, narSize: 42n })
    expect(parseInfusedNar(url.replace('snix', 'tvix'))).toEqual({ node, narSize: 42n })
  })

  const good = formatInfusedNar({ node: file, narSize: 42n })
  it.each([
    'nar/0h40zg6hakjv951nyhdad7mv9za56m3za5gnpiw5s1hbwcxzdrq3.nar',
    '',
    `/${good}`,
    `https://example.com/${good}`,
    good.replace('?narsize=42', ''),
    good.replace('42', ''),
    good.replace('42', '-1'),
    good.replace('42', `${2n ** 64n}`),
    `${good}&x=y`,
    good.replace('GAw?', 'GAw=?'),
    good.replace('GAw?', 'GAx?'),
    good.replace('GAw?', 'GA?'),
    'nar/snix-castore/?narsize=1',
    'nar/snix-castore/GgA?narsize=1',
    `nar/snix-castore/${'A'.repeat(5463)}?narsize=1`,
    // A node with a name.
    'nar/snix-castore/GgUKAWESAWI?narsize=1',
  ])('not one: %s', (url) => {
    expect(parseInfusedNar(url)).toBeUndefined()
  })
})
