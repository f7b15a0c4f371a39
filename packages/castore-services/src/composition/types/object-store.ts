import { z } from 'zod'
import type { BlobService } from '../../blob-service.js'
import type { DirectoryService } from '../../directory-service.js'
import type { ObjectStore } from '../../object-store/object-store.js'
import { parseStorageUrl } from '../../object-store/storage-url.js'
import { queryConfig } from '../address-parts.js'
import { ConfigError } from '../errors.js'
import { addressText, secretText } from '../secret.js'
import type { BuildContext, ServiceType } from '../service-type.js'

const SCHEMES = [
  ...['memory', 'file', 'http', 'https', 's3', 's3a', 'gs'],
  ...['az', 'adl', 'azure', 'abfs', 'abfss'],
] as const

const common = {
  object_store_url: addressText(parseStorageUrl),
  object_store_options: z.record(z.string(), secretText()).optional(),
}
/** Checks the configuration of services in an object store. */
export const objectStoreSchema: z.ZodObject<typeof common, z.core.$strict> = z.strictObject(common)
const blobSchema = z.strictObject({
  ...common,
  avg_chunk_size: z.number().int().min(512).max(2_097_152).optional(),
})
type BlobConfig = z.infer<typeof blobSchema>
/** Configuration of {@link objectStoreType}. */
export type ObjectStoreConfig = z.infer<typeof objectStoreSchema>

/** Blobs in an object store: `objectstore+s3://bucket/prefix?region=…`. */
export const objectStoreBlobs: ServiceType<BlobService, BlobConfig> = {
  tag: 'objectstore',
  suffixes: SCHEMES,
  schema: blobSchema,
  fromUrl(url, text) {
    const { object_store_url, object_store_options } = readUrl(url, text)
    const { avg_chunk_size, ...options } = object_store_options
    const size = avg_chunk_size === undefined ? {} : queryConfig(url, { avg_chunk_size: 'integer' })
    return {
      object_store_url,
      object_store_options: options,
      ...(avg_chunk_size !== undefined && { avg_chunk_size: size['avg_chunk_size'] }),
    }
  },
  async build(config, context) {
    const { ObjectStoreBlobService } = await import('../../blob/object-store.js')
    const store = await openStore(config, context)
    return new ObjectStoreBlobService({ store, averageChunkSize: config.avg_chunk_size })
  },
}

/**
 * A type of services that lie in an object store: `objectstore+s3://bucket/prefix?region=…`.
 *
 * @param make the service of a store, which stays open while the service is
 */
export function objectStoreType<S>(
  make: (store: ObjectStore) => Promise<S>,
): ServiceType<S, ObjectStoreConfig> {
  return {
    tag: 'objectstore',
    suffixes: SCHEMES,
    schema: objectStoreSchema,
    fromUrl(url, text) {
      const config = readUrl(url, text)
      if ('avg_chunk_size' in config.object_store_options) {
        throw new ConfigError('only blobs are cut into chunks', { key: 'avg_chunk_size' })
      }
      return config
    },
    build: async (config, context) => make(await openStore(config, context)),
  }
}

/** Directories in an object store. */
export const objectStoreDirectories: ServiceType<DirectoryService, ObjectStoreConfig> = objectStoreType(
  async (store) => {
    const { ObjectStoreDirectoryService } = await import('../../directory/object-store.js')
    return new ObjectStoreDirectoryService({ store })
  },
)

function readUrl(url: URL, text: string) {
  if (!/^objectstore\+/i.test(text))
    throw new ConfigError('Missing objectstore uri: expected objectstore+s3:// or the like')
  if (url.hash !== '') throw new ConfigError('fragment may not be set')
  const [place = ''] = text.slice('objectstore+'.length).split('?')
  return {
    object_store_url: place,
    object_store_options: queryConfig(url) as Record<string, string>,
  }
}

async function openStore(
  { object_store_url: url, object_store_options: options = {} }: ObjectStoreConfig,
  context: BuildContext,
): Promise<ObjectStore> {
  const place = await context.secret(url)
  const resolved = new Map<string, string>()
  for (const [key, value] of Object.entries(options)) resolved.set(key, await context.secret(value))
  const { openObjectStore } = await import('../../object-store/index.js')
  const store = await openObjectStore(place, Object.fromEntries(resolved))
  context.onClose(() => store.close?.())
  return store
}
