import { z } from 'zod'
import type { BlobService } from '../../blob-service.js'
import type { DirectoryService } from '../../directory-service.js'
import { parseGrpcUrl } from '../../grpc/address.js'
import { duration } from '../duration.js'
import { addressText } from '../secret.js'
import type { BuildContext, ServiceType } from '../service-type.js'

const schema = z.strictObject({
  url: addressText(parseGrpcUrl),
  timeout: duration().optional(),
  connect_timeout: duration().optional(),
})
type Config = z.infer<typeof schema>

const grpc = {
  tag: 'grpc',
  suffixes: ['unix', 'http', 'https'],
  schema,
  fromUrl: (_url: URL, text: string) => ({ url: text }),
} as const

/** Blobs of another process: `grpc+unix:/run/neve.sock`, `grpc+https://example.org`. */
export const grpcBlobs: ServiceType<BlobService, Config> = {
  ...grpc,
  async build(config, context) {
    const { GrpcBlobService } = await import('../../grpc/index.js')
    return new GrpcBlobService(await openChannel(config, context))
  },
}

/** Directories of another process: `grpc+unix:/run/neve.sock`, `grpc+https://example.org`. */
export const grpcDirectories: ServiceType<DirectoryService, Config> = {
  ...grpc,
  async build(config, context) {
    const { GrpcDirectoryService } = await import('../../grpc/index.js')
    return new GrpcDirectoryService(await openChannel(config, context))
  },
}

async function openChannel({ url, timeout, connect_timeout: connectTimeout }: Config, context: BuildContext) {
  const { openGrpcChannel } = await import('../../grpc/index.js')
  const { signal } = context
  const channel = await openGrpcChannel(await context.secret(url), { timeout, connectTimeout, signal })
  context.onClose(() => channel.close())
  return channel
}
