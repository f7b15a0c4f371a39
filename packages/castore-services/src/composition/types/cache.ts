import { z } from 'zod'
import type { BlobService } from '../../blob-service.js'
import type { DirectoryService } from '../../directory-service.js'
import { queryConfig, refuseParts } from '../address-parts.js'
import { BLOB_SERVICE, DIRECTORY_SERVICE, type Kind } from '../kind.js'
import { reference } from '../reference.js'
import type { ServiceType } from '../service-type.js'

const schema = z.strictObject({
  near: reference(),
  far: reference(),
  writes: z.enum(['through', 'back']).optional(),
})
type Config = z.infer<typeof schema>

/** A near blob service that keeps what is read from a far one: `cache:?near=…&far=…`. */
export const cacheBlobs: ServiceType<BlobService, Config> = {
  ...cache(BLOB_SERVICE),
  async build({ near, far, writes }, context) {
    const { CacheBlobService } = await import('../../blob/cache.js')
    const sides = await context.resolveAll(BLOB_SERVICE, { near, far })
    return new CacheBlobService({ ...sides, writes, onTrouble: (trouble) => context.report(trouble) })
  },
}

/** A near directory service that keeps what is read from a far one: `cache:?near=…&far=…`. */
export const cacheDirectories: ServiceType<DirectoryService, Config> = {
  ...cache(DIRECTORY_SERVICE),
  async build({ near, far, writes }, context) {
    const { DirectoryCache } = await import('../../directory/cache.js')
    const sides = await context.resolveAll(DIRECTORY_SERVICE, { near, far })
    return new DirectoryCache({ ...sides, writes, onTrouble: (trouble) => context.report(trouble) })
  },
}

function cache<S>(kind: Kind<S>): Omit<ServiceType<S, Config>, 'build'> {
  return {
    tag: 'cache',
    schema,
    aliases: { local: 'near', remote: 'far' },
    fromUrl(url) {
      refuseParts(url, ['host', 'path'])
      return queryConfig(url)
    },
    references: ({ near, far }) => [
      { kind, key: 'near', value: near },
      { kind, key: 'far', value: far },
    ],
  }
}
