import { z } from 'zod'
import type { BlobService } from '../../blob-service.js'
import { queryConfig, refuseParts } from '../address-parts.js'
import { BLOB_SERVICE } from '../kind.js'
import { reference } from '../reference.js'
import type { ServiceType } from '../service-type.js'

const schema = z.strictObject({ local: reference(), remote: reference() })

/** A local blob service in front of a remote one that is only read: `combined:?local=…&remote=…`. */
export const combinedBlobs: ServiceType<BlobService, z.infer<typeof schema>> = {
  tag: 'combined',
  schema,
  aliases: { near: 'local', far: 'remote' },
  fromUrl(url) {
    refuseParts(url, ['host', 'path'])
    return queryConfig(url)
  },
  references: ({ local, remote }) => [
    { kind: BLOB_SERVICE, key: 'local', value: local },
    { kind: BLOB_SERVICE, key: 'remote', value: remote },
  ],
  async build({ local, remote }, context) {
    const { CombinedBlobService } = await import('../../blob/combined.js')
    return new CombinedBlobService(await context.resolveAll(BLOB_SERVICE, { local, remote }))
  },
}
