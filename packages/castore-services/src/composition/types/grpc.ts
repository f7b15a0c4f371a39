import { z } from 'zod'
import type { BlobService } from '../../blob-service.js'
import type { DirectoryService } from '../../directory-service.js'
import { parseGrpcUrl } from '../../grpc/address.js'
import type { GrpcChannel } from '../../grpc/channel.js'
import { duration } from '../duration.js'
import { addressText } from '../secret.js'
import type { ServiceType } from '../service-type.js'

const schema = z.strictObject({
  url: addressText(parseGrpcUrl),
  timeout: duration().optional(),
  connect_timeout: duration().optional(),
})
/** Configuration of {@link grpcType}. */
export type GrpcConfig = z.infer<typeof schema>

/**
 * A type of services of another process: `grpc+unix:/run/neve.sock`, `grpc+https://example.org`. The variable
 * `NEVE_TOKEN`, if there is one, is sent where the address has no `token-file`.
 *
 * @param make the client of a channel, which is closed with it
 */
export function grpcType<S>(make: (channel: GrpcChannel) => Promise<S>): ServiceType<S, GrpcConfig> {
  return {
    tag: 'grpc',
    suffixes: ['unix', 'http', 'https'],
    schema,
    fromUrl: (_url, text) => ({ url: text }),
    async build({ url, timeout, connect_timeout: connectTimeout }, context) {
      const { openGrpcChannel } = await import('../../grpc/index.js')
      const { signal } = context
      const token = process.env['NEVE_TOKEN'] ? await context.secret({ env: 'NEVE_TOKEN' }) : undefined
      const address = await context.secret(url)
      const channel = await openGrpcChannel(address, { timeout, connectTimeout, signal, token })
      context.onClose(() => channel.close())
      return make(channel)
    },
  }
}

/** Blobs of another process. */
export const grpcBlobs: ServiceType<BlobService, GrpcConfig> = grpcType(async (channel) => {
  const { GrpcBlobService } = await import('../../grpc/index.js')
  return new GrpcBlobService(channel)
})

/** Directories of another process. */
export const grpcDirectories: ServiceType<DirectoryService, GrpcConfig> = grpcType(async (channel) => {
  const { GrpcDirectoryService } = await import('../../grpc/index.js')
  return new GrpcDirectoryService(channel)
})
