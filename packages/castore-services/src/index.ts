export {
  type BlobReader,
  type BlobService,
  type BlobWriter,
  type ChunkMeta,
  DEFAULT_GET_MAX_SIZE,
  type GetBlobOptions,
} from './blob-service.js'
export type { CallOptions } from './call-options.js'
export type { DirectoryPutter, DirectoryService } from './directory-service.js'
export {
  BlobTooLargeError,
  CastoreError,
  type CastoreErrorCode,
  type CastoreErrorKind,
  DataLossError,
  DirectoryOrderError,
  WrongSizeError,
} from './errors.js'
