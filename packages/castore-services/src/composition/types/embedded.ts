import { resolve } from 'node:path'
import { z } from 'zod'
import type { BlobService } from '../../blob-service.js'
import type { DirectoryService } from '../../directory-service.js'
import { decodePath, queryConfig, refuseParts } from '../address-parts.js'
import { ConfigError } from '../errors.js'
import type { BuildContext, ServiceType } from '../service-type.js'

const schema = z.strictObject({
  path: z.string().regex(/^\/[^\0]*$/, { error: 'expected the absolute path of a folder' }),
  read_only: z.boolean().optional(),
})
type Config = z.infer<typeof schema>

const embedded = {
  tag: 'embedded',
  schema,
  fromUrl(url: URL) {
    refuseParts(url, ['host'])
    const path = decodePath(url)
    if (path === '') throw new ConfigError('path is missing, expected embedded:/path/to/folder')
    const { path: extra, ...options } = queryConfig(url, { read_only: 'boolean' })
    if (extra !== undefined)
      throw new ConfigError('the path stands before the question mark', { key: 'path' })
    return { ...options, path: resolve(path) }
  },
} as const

/** Blobs in an embedded store: `embedded:/var/lib/neve`. Shares its engine with whoever has the same path. */
export const embeddedBlobs: ServiceType<BlobService, Config> = {
  ...embedded,
  async build(config, context) {
    const { EmbeddedBlobService } = await import('../../blob/embedded.js')
    return new EmbeddedBlobService(await openEngine(config, context))
  },
}

/** Directories in an embedded store: `embedded:/var/lib/neve`. Shares its engine with whoever has the same path. */
export const embeddedDirectories: ServiceType<DirectoryService, Config> = {
  ...embedded,
  async build(config, context) {
    const { EmbeddedDirectoryService } = await import('../../directory/embedded.js')
    return new EmbeddedDirectoryService(await openEngine(config, context))
  },
}

async function openEngine({ path, read_only: readOnly = false }: Config, context: BuildContext) {
  const { leaseEngine } = await import('./shared-engine.js')
  const { engine, release } = await leaseEngine(path, readOnly)
  context.onClose(release)
  return engine
}
