import { z } from 'zod'
import type { BlobService } from '../../blob-service.js'
import type { OnTrouble } from '../../combine/trouble.js'
import type { DirectoryService } from '../../directory-service.js'
import { queryConfig, refuseParts } from '../address-parts.js'
import { BLOB_SERVICE, DIRECTORY_SERVICE, type Kind } from '../kind.js'
import { reference } from '../reference.js'
import type { BuildContext, ServiceType } from '../service-type.js'

const schema = z.strictObject({ stores: z.array(reference()).min(1) })
type Config = z.infer<typeof schema>

/** Blobs in all of several services: `mirror:?stores=…&stores=…`. */
export const mirrorBlobs: ServiceType<BlobService, Config> = {
  ...several(BLOB_SERVICE, 'mirror'),
  async build(config, context) {
    const { MirrorBlobService } = await import('../../blob/mirror.js')
    return new MirrorBlobService(await resolveStores(BLOB_SERVICE, config, context))
  },
}

/** Directories in all of several services: `mirror:?stores=…&stores=…`. */
export const mirrorDirectories: ServiceType<DirectoryService, Config> = {
  ...several(DIRECTORY_SERVICE, 'mirror'),
  async build(config, context) {
    const { MirrorDirectoryService } = await import('../../directory/mirror.js')
    return new MirrorDirectoryService(await resolveStores(DIRECTORY_SERVICE, config, context))
  },
}

/** Blobs in the first of several services that has them: `priority:?stores=…&stores=…`. */
export const priorityBlobs: ServiceType<BlobService, Config> = {
  ...several(BLOB_SERVICE, 'priority'),
  async build(config, context) {
    const { PriorityBlobService } = await import('../../blob/priority.js')
    return new PriorityBlobService(await resolveStores(BLOB_SERVICE, config, context))
  },
}

/** Directories in the first of several services that has them: `priority:?stores=…&stores=…`. */
export const priorityDirectories: ServiceType<DirectoryService, Config> = {
  ...several(DIRECTORY_SERVICE, 'priority'),
  async build(config, context) {
    const { PriorityDirectoryService } = await import('../../directory/priority.js')
    return new PriorityDirectoryService(await resolveStores(DIRECTORY_SERVICE, config, context))
  },
}

function several<S>(kind: Kind<S>, tag: string): Omit<ServiceType<S, Config>, 'build'> {
  return {
    tag,
    schema,
    fromUrl(url) {
      refuseParts(url, ['host', 'path'])
      return queryConfig(url, { stores: 'list' })
    },
    references: ({ stores }) => stores.map((value, index) => ({ kind, key: `stores[${index}]`, value })),
  }
}

async function resolveStores<S>(
  kind: Kind<S>,
  { stores }: Config,
  context: BuildContext,
): Promise<{ stores: readonly S[]; names: readonly string[]; onTrouble: OnTrouble }> {
  const named = stores.map((value, index) => [`stores[${index}]`, value] as const)
  const resolved = await context.resolveAll(kind, Object.fromEntries(named))
  return {
    stores: named.map(([key]) => resolved[key]!),
    // An address may have secrets in it, and is no name.
    names: named.map(([key, value]) => (value.includes(':') ? key : value.replace(/^&/, ''))),
    onTrouble: (trouble) => context.report(trouble),
  }
}
