export { type GrpcAddress, type GrpcAddressOptions, type GrpcEndpoint, parseGrpcUrl } from './address.js'
export { BLOB_BATCH_GRPC_SERVICE, type BlobBatchMethods } from './batch-definitions.js'
export { GrpcBlobListStore } from './blob-list-store.js'
export type { GrpcBlobServiceOptions } from './blob-service.js'
export { GrpcBlobService } from './blobs.js'
export { GrpcCaller } from './call.js'
export {
  BLOB_GRPC_SERVICE,
  type BlobMethods,
  DIRECTORY_GRPC_SERVICE,
  type DirectoryMethods,
} from './castore-definitions.js'
export {
  DEFAULT_MAX_MESSAGE_SIZE,
  DEFAULT_WINDOW,
  type Generation,
  GrpcChannel,
  type GrpcChannelOptions,
  openGrpcChannel,
} from './channel.js'
export { GrpcChunkStore } from './chunk-store.js'
export type { GrpcClient, GrpcUpload } from './client.js'
export { GrpcDirectoryService } from './directory-service.js'
export { generated } from './generated-codec.js'
export {
  clientStreaming,
  type GrpcServiceDefinition,
  grpcService,
  type MessageCodec,
  type MethodShape,
  serverStreaming,
  unary,
} from './service-definition.js'
export { GrpcStatusError } from './status-error.js'
export type { GrpcClientTls } from './tls.js'
