import { z } from 'zod'
import type { BlobService } from '../../blob-service.js'
import type { DirectoryService } from '../../directory-service.js'
import { queryConfig, refuseParts } from '../address-parts.js'
import { BLOB_SERVICE, DIRECTORY_SERVICE, type Kind } from '../kind.js'
import { reference } from '../reference.js'
import type { ServiceType } from '../service-type.js'

const schema = z.strictObject({ store: reference() })
/** Configuration of {@link wrapperType}. */
export type WrapperConfig = z.infer<typeof schema>

/** Blobs that can only be read: `readonly:?store=…`. */
export const readonlyBlobs: ServiceType<BlobService, WrapperConfig> = {
  ...wrapperType(BLOB_SERVICE, 'readonly'),
  async build({ store }, context) {
    const { ReadonlyBlobService } = await import('../../blob/readonly.js')
    return new ReadonlyBlobService(await context.resolve(BLOB_SERVICE, store, 'store'))
  },
}

/** Directories that can only be read: `readonly:?store=…`. */
export const readonlyDirectories: ServiceType<DirectoryService, WrapperConfig> = {
  ...wrapperType(DIRECTORY_SERVICE, 'readonly'),
  async build({ store }, context) {
    const { ReadonlyDirectoryService } = await import('../../directory/readonly.js')
    return new ReadonlyDirectoryService(await context.resolve(DIRECTORY_SERVICE, store, 'store'))
  },
}

/** Blobs of a service that does not verify what it gives: `verify:?store=…`. */
export const verifyBlobs: ServiceType<BlobService, WrapperConfig> = {
  ...wrapperType(BLOB_SERVICE, 'verify'),
  async build({ store }, context) {
    const { VerifyBlobService } = await import('../../blob/verify.js')
    return new VerifyBlobService(await context.resolve(BLOB_SERVICE, store, 'store'))
  },
}

/** Directories of a service that does not verify what it gives: `verify:?store=…`. */
export const verifyDirectories: ServiceType<DirectoryService, WrapperConfig> = {
  ...wrapperType(DIRECTORY_SERVICE, 'verify'),
  async build({ store }, context) {
    const { VerifyDirectoryService } = await import('../../directory/verify.js')
    return new VerifyDirectoryService(await context.resolve(DIRECTORY_SERVICE, store, 'store'))
  },
}

/** What the types of services around another one of their kind have in common: `readonly:?store=…`. */
export function wrapperType<S>(kind: Kind<S>, tag: string): Omit<ServiceType<S, WrapperConfig>, 'build'> {
  return {
    tag,
    schema,
    fromUrl(url) {
      refuseParts(url, ['host', 'path'])
      return queryConfig(url)
    },
    references: ({ store }) => [{ kind, key: 'store', value: store }],
  }
}
