import { type ObjectStore, openObjectStore } from '@neve/castore-services/object-store'

const SCHEME = 'objectstore+'

/**
 * Opens the object store that the address of a whole store names: `objectstore+s3://bucket/prefix?region=…`.
 *
 * @returns undefined for an address of another kind
 * @throws CastoreError `invalid-input` for an address or an option that is refused
 */
export async function objectStoreAt(address: string): Promise<ObjectStore | undefined> {
  if (!address.startsWith(SCHEME)) return undefined
  const [place = '', query = ''] = address.slice(SCHEME.length).split('?')
  const options = new URLSearchParams(query)
  // How blobs are cut is nothing to whoever looks at objects only.
  options.delete('avg_chunk_size')
  const rest = options.toString()
  return openObjectStore(rest === '' ? place : `${place}?${rest}`)
}
