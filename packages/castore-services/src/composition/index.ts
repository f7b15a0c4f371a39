export {
  blobServiceFromAddress,
  directoryServiceFromAddress,
  type FromAddressOptions,
  serviceFromAddress,
} from './address.js'
export { decodePath, type QueryValue, queryConfig, refuseParts, type UnusedPart } from './address-parts.js'
export { byteSize } from './byte-size.js'
export {
  type CheckCompositionOptions,
  type CompositionCheck,
  checkComposition,
  type Finding,
} from './check.js'
export { Composition } from './composition.js'
export type {
  CompositionInit,
  InstanceSummary,
  RetryPolicy,
  ServiceTrouble,
} from './composition-init.js'
export { addDefaultServices, defaultRegistry } from './default-services.js'
export { duration } from './duration.js'
export {
  CloseFailedError,
  CompositionError,
  type CompositionErrorCode,
  ConfigError,
  type ConfigLocation,
  ConstructionFailedError,
  InstanceNotFoundError,
  isTransient,
  RecursionError,
  UnknownTypeError,
} from './errors.js'
export type { InstanceState } from './instance.js'
export { compositionJsonSchema, type JsonSchema } from './json-schema.js'
export { BLOB_SERVICE, DIRECTORY_SERVICE, Kind, type KindInit } from './kind.js'
export type { PlannedPart, ServicePlan } from './plan.js'
export { Redactor, redactAddress } from './redact.js'
export { type Reference, reference } from './reference.js'
export { type RegisteredType, Registry } from './registry.js'
export { addressText, resolveSecret, type SecretText, secretText } from './secret.js'
export type { BuildContext, Builder, BuilderReference, ServiceType } from './service-type.js'
export {
  compositionOf,
  type ParseCompositionOptions,
  parseComposition,
  parseToml,
  readCompositionFile,
  readCompositionText,
} from './toml.js'
export { type BigtableTypeConfig, bigtableType } from './types/bigtable.js'
export { type EmbeddedConfig, embeddedSchema, embeddedType } from './types/embedded.js'
export { type GrpcConfig, grpcType } from './types/grpc.js'
export { legacyDatabase } from './types/legacy.js'
export { memoryType } from './types/memory.js'
export { type ObjectStoreConfig, objectStoreSchema, objectStoreType } from './types/object-store.js'
export { openEngines } from './types/shared-engine.js'
export { type WrapperConfig, wrapperType } from './types/wrappers.js'
export type { Problem, ValidateOptions } from './validation.js'
