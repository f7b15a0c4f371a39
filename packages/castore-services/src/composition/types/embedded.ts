import { resolve } from 'node:path'
import type { EmbeddedStore } from '@neve/embedded-store'
import { z } from 'zod'
import type { BlobService } from '../../blob-service.js'
import type { DirectoryService } from '../../directory-service.js'
import { decodePath, queryConfig, refuseParts } from '../address-parts.js'
import { ConfigError } from '../errors.js'
import type { ServiceType } from '../service-type.js'

const shape = {
  path: z.string().regex(/^\/[^\0]*$/, { error: 'expected the absolute path of a folder' }),
  read_only: z.boolean().optional(),
}
/** Checks an {@link EmbeddedConfig}. */
export const embeddedSchema: z.ZodObject<typeof shape, z.core.$strict> = z.strictObject(shape)
/** Configuration of {@link embeddedType}. */
export type EmbeddedConfig = z.infer<typeof embeddedSchema>

/**
 * A type of services that lie in an embedded store: `embedded:/var/lib/neve`. Its engine is shared with whoever has the
 * same path.
 *
 * @param make the service of an engine, which stays open while the service is
 */
export function embeddedType<S>(make: (engine: EmbeddedStore) => Promise<S>): ServiceType<S, EmbeddedConfig> {
  return {
    tag: 'embedded',
    schema: embeddedSchema,
    fromUrl(url) {
      refuseParts(url, ['host'])
      const path = decodePath(url)
      if (path === '') throw new ConfigError('path is missing, expected embedded:/path/to/folder')
      const { path: extra, ...options } = queryConfig(url, { read_only: 'boolean' })
      if (extra !== undefined)
        throw new ConfigError('the path stands before the question mark', { key: 'path' })
      return { ...options, path: resolve(path) }
    },
    async build({ path, read_only: readOnly = false }, context) {
      const { leaseEngine } = await import('./shared-engine.js')
      const { engine, release } = await leaseEngine(path, readOnly)
      context.onClose(release)
      return make(engine)
    },
  }
}

/** Blobs in an embedded store. */
export const embeddedBlobs: ServiceType<BlobService, EmbeddedConfig> = embeddedType(async (engine) => {
  const { EmbeddedBlobService } = await import('../../blob/embedded.js')
  return new EmbeddedBlobService(engine)
})

/** Directories in an embedded store. */
export const embeddedDirectories: ServiceType<DirectoryService, EmbeddedConfig> = embeddedType(
  async (engine) => {
    const { EmbeddedDirectoryService } = await import('../../directory/embedded.js')
    return new EmbeddedDirectoryService(engine)
  },
)
