export { type Access, AccessTokens, type AccessTokensOptions, requireTokens } from './server/access-tokens.js'
export { blobBatchImplementation } from './server/blob-batch-service.js'
export {
  type BlobServiceImplementationOptions,
  blobServiceImplementation,
  expectWhole,
  type ServiceImplementationOptions,
} from './server/blob-service.js'
export type { CallObserver, ObservedCall, ServedCall } from './server/call-observer.js'
export {
  type AcceptOptions,
  type CastoreServer,
  type CastoreServerInit,
  type CloseOptions,
  castoreServer,
  type GrpcServerLimits,
  type Listener,
  listenerUrl,
} from './server/castore-server.js'
export { requestedDigest } from './server/digest.js'
export {
  type DirectoryServiceImplementationOptions,
  directoryServiceImplementation,
} from './server/directory-service.js'
export { GrpcServer, type GrpcServerInit, type ServiceRegistry } from './server/grpc-server.js'
export { BackendHealth, type BackendHealthOptions, type Probe } from './server/health/backend-health.js'
export {
  addHealth,
  HEALTH_GRPC_SERVICE,
  HEALTH_SERVICE_NAME,
  type HealthInit,
  healthImplementation,
} from './server/health/health-service.js'
export type { GrpcServerTls } from './server/http2-endpoint.js'
export { messagesOf } from './server/messages.js'
export { type DescriptorFile, DescriptorFiles } from './server/reflection/descriptor-files.js'
export {
  addReflection,
  loadDescriptors,
  REFLECTION_GRPC_SERVICES,
  type ReflectionInit,
  type ReflectionMethods,
  reflectionImplementation,
} from './server/reflection/reflection-service.js'
export { registerService } from './server/register-service.js'
export {
  addSplitServices,
  blobStoreImplementation,
  chunkStoreImplementation,
  type SplitServices,
  type SplitServicesOptions,
} from './server/split-services.js'
export { type OnServerError, serverError, statusOf } from './server/status.js'
export { tracedCalls } from './server/traced-calls.js'
