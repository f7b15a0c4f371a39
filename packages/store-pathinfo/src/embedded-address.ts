import { StoreError } from './errors.js'

/** Whether an address is that of an embedded store: by its scheme, or as a folder; or of what only that could be meant by. */
export function isEmbeddedAddress(address: string): boolean {
  const scheme = schemeOf(address)
  return scheme === undefined || scheme === 'embedded' || isForeign(scheme)
}

/**
 * The folder in an address of an embedded store.
 *
 * @throws StoreError `invalid-address`
 */
export function embeddedPath(address: string): string {
  const scheme = schemeOf(address)
  const path = scheme === undefined ? address : address.slice('embedded:'.length).replace(/^\/\/(?=\/)/, '')
  if (scheme !== undefined && isForeign(scheme)) {
    throw new StoreError(
      'invalid-address',
      `${withoutSecrets(address)}: databases of the reference implementation cannot be opened; write embedded:/path/to/folder`,
    )
  }
  if (scheme !== undefined && scheme !== 'embedded') {
    throw new StoreError(
      'invalid-address',
      `${withoutSecrets(address)}: expected embedded:/path/to/folder, got scheme ${scheme}`,
    )
  }
  if (path === '' || path.startsWith('//')) {
    throw new StoreError('invalid-address', `${address}: expected embedded:/path/to/folder`)
  }
  return path
}

/** Whether an address is the name of a composition file. */
export function isCompositionFile(address: string): boolean {
  return address.endsWith('.toml') && schemeOf(address) === undefined
}

function schemeOf(address: string): string | undefined {
  return /^([a-z][a-z0-9+.-]*):/.exec(address)?.[1]
}

/** The databases of the reference implementation, of which ours takes the place. */
function isForeign(scheme: string): boolean {
  return scheme === 'sled' || scheme.startsWith('redb')
}

/** An address as it may be shown: what stands before the host, and the query, may be secret. */
export function withoutSecrets(address: string): string {
  return address.replace(/\/\/[^/?#]*@/, '//…@').replace(/\?.*$/s, '?…')
}
