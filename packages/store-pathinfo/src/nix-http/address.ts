import { PublicKey } from '@neve/nix-compat'
import { StoreError } from '../errors.js'

/** What a `nix+http:` or `nix+https:` address says. */
export interface NixHttpAddress {
  /** Of the cache, without options; its path ends in a slash. User and password are those of the address. */
  readonly url: URL
  readonly trustedPublicKeys: readonly PublicKey[]
  readonly forceDownloadNar: boolean
}

/**
 * Reads an address (spec 07 sections 6.6 and 13.4): `nix+https://cache.nixos.org`, with
 * `?trusted_public_keys[0]=name:base64` and so on, or all of them as `trusted-public-keys=…` with blanks between, and
 * `force_download_nar=true`. A `+` in a key may be written as it is. Nothing else may be there.
 *
 * @throws StoreError `invalid-address`
 */
export function parseNixHttpAddress(address: string): NixHttpAddress {
  const shown = address.replace(/\/\/[^/?#]*@/, '//…@')
  const refuse = (detail: string, cause?: unknown) =>
    new StoreError('invalid-address', `${shown}: ${detail}`, undefined, { cause })
  const scheme = /^nix\+(https?):/.exec(address)
  if (scheme === null) throw refuse('expected nix+http: or nix+https:')
  // Schemes of the web make a host of whatever follows the slashes; ours does not.
  if (!URL.canParse(address) || new URL(address).host === '') throw refuse('expected a host')
  if (new URL(address).hash !== '') throw refuse('a fragment may not be set')
  const url = new URL(address.slice('nix+'.length))
  const keys: (string | undefined)[] = []
  let listed: string[] = []
  let forceDownloadNar = false
  const seen = new Set<string>()
  for (const [name, value] of options(url.search)) {
    if (seen.has(name)) throw refuse(`${name} is there twice`)
    seen.add(name)
    const index = /^trusted_public_keys\[([0-9]{1,3})\]$/.exec(name)
    if (index !== null) keys[Number(index[1])] = value
    else if (name === 'trusted-public-keys') listed = value.split(/\s+/).filter((text) => text !== '')
    else if (name === 'force_download_nar' && /^(true|false)$/.test(value))
      forceDownloadNar = value === 'true'
    else if (name === 'force_download_nar') throw refuse('force_download_nar: expected true or false')
    else if (name === 'trusted_public_keys')
      throw refuse('trusted_public_keys: write trusted_public_keys[0]=…')
    else throw refuse(`unknown option ${name}`)
  }
  if (Array.from(keys).includes(undefined))
    throw refuse('trusted_public_keys: expected [0], [1], … without gaps')
  url.search = ''
  if (!url.pathname.endsWith('/')) url.pathname += '/'
  try {
    const all = [...(keys as string[]), ...listed]
    return { url, trustedPublicKeys: all.map((text) => PublicKey.parse(text)), forceDownloadNar }
  } catch (error) {
    throw refuse(error instanceof Error ? error.message : String(error), error)
  }
}

/** Names and values; unlike in a form, a plus is a plus: keys have some. */
function options(search: string): [string, string][] {
  return [...new URLSearchParams(search.replaceAll('+', '%2B'))]
}
