import type { Kind, ServicePlan } from '@neve/castore-services/composition'
import type { StoreSources } from '@neve/store-pathinfo'
import { UsageError } from '../messages.js'

/** Types of services that every process has for itself alone. */
const PRIVATE = ['memory', 'lru']

/**
 * Checks that processes that each open a store of their own have the same one. What lies in memory in front of the
 * rest, as near side of a cache, may be each one's own.
 *
 * @throws UsageError
 */
export async function expectShared(sources: string | StoreSources | undefined): Promise<void> {
  const [
    { BLOB_SERVICE, Composition, DIRECTORY_SERVICE, readCompositionFile },
    { PATH_INFO_SERVICE, storeRegistry },
    { defaultStoreAddress },
  ] = await Promise.all([
    import('@neve/castore-services/composition'),
    import('@neve/store-pathinfo/composition'),
    import('@neve/store-pathinfo'),
  ])
  const registry = storeRegistry()
  const { config, blobs, directories, pathInfos } =
    typeof sources === 'object' ? sources : whole(sources ?? defaultStoreAddress())
  const composition =
    config === undefined ? new Composition({ registry }) : await readCompositionFile(config, { registry })
  const add = <S>(kind: Kind<S>, address: unknown): void => {
    // What has no scheme is a folder.
    if (typeof address !== 'string' || !/^[A-Za-z][A-Za-z0-9+]*:/.test(address)) return
    if (PRIVATE.includes(/^(?:objectstore\+)?([a-z]+):/.exec(address)?.[1] ?? '')) refuse(address)
    composition.extend(kind, { 'command-line': registry.fromUrl(kind, address) })
  }
  add(BLOB_SERVICE, blobs)
  add(DIRECTORY_SERVICE, directories)
  add(PATH_INFO_SERVICE, pathInfos)
  for (const plan of composition.plans()) expectSharedPlan(plan)
}

/** What an address of a whole store is made of, as far as it matters here: its other services are of the same type. */
function whole(address: string): StoreSources {
  // Its contents lie in a temporary store.
  if (address.startsWith('nix+')) refuse(address)
  return address.endsWith('.toml') ? { config: address } : { blobs: address }
}

function expectSharedPlan({ type, name, parts }: ServicePlan): void {
  if (type !== undefined && PRIVATE.includes(type)) refuse(name)
  for (const { key, plan } of parts) {
    if (typeof plan === 'object' && !(type === 'cache' && key === 'near')) expectSharedPlan(plan)
  }
}

function refuse(name: string): never {
  // An address may have secrets behind the question mark.
  throw new UsageError(
    `--workers needs a store that processes can share: ${name.split('?')[0]} is each one's own`,
  )
}
