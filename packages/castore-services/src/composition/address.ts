import type { BlobService } from '../blob-service.js'
import type { CallOptions } from '../call-options.js'
import type { DirectoryService } from '../directory-service.js'
import { Composition } from './composition.js'
import type { CompositionInit } from './composition-init.js'
import { defaultRegistry } from './default-services.js'
import { BLOB_SERVICE, DIRECTORY_SERVICE, Kind } from './kind.js'
import type { Registry } from './registry.js'

/** Options of {@link serviceFromAddress}. */
export interface FromAddressOptions extends CallOptions, Omit<CompositionInit, 'registry'> {
  /** The types that may be named. Default: those of this package. */
  readonly registry?: Registry | undefined
}

/**
 * A blob service of its own from an address such as `embedded:/var/lib/neve` (spec 04 section 5). Its `close` closes
 * whatever was opened for it.
 *
 * @throws CompositionError; no message has a secret of the address in it
 */
export function blobServiceFromAddress(address: string, options?: FromAddressOptions): Promise<BlobService> {
  return serviceFromAddress(BLOB_SERVICE, address, options)
}

/** A directory service of its own from an address, as {@link blobServiceFromAddress}. */
export function directoryServiceFromAddress(
  address: string,
  options?: FromAddressOptions,
): Promise<DirectoryService> {
  return serviceFromAddress(DIRECTORY_SERVICE, address, options)
}

/**
 * A service of any kind from an address. It belongs to no composition: `&name` in it is never found. Its `close` is
 * replaced by one that also closes what was opened for it, unless the object is frozen.
 *
 * @throws CompositionError
 */
export async function serviceFromAddress<S extends object>(
  kind: Kind<S>,
  address: string,
  { signal, registry = defaultRegistry(), ...init }: FromAddressOptions = {},
): Promise<S> {
  signal?.throwIfAborted()
  const composition = new Composition({ ...init, registry })
  const owned = new Kind<S>({
    name: kind.name,
    table: kind.table,
    close: async (service) => {
      Reflect.deleteProperty(service, 'close')
      await kind.close(service)
    },
  })
  // What is not an address would be taken for the name of an instance.
  registry.fromUrl(kind, address)
  try {
    const service = await composition.open(owned, address, { signal })
    if (Object.isExtensible(service)) {
      const close = { value: () => composition.close(), configurable: true }
      Object.defineProperty(service, 'close', close)
    }
    return service
  } catch (error) {
    await composition.close()
    throw error
  }
}
