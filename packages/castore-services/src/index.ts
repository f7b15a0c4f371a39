export { ChunkTable, type PlacedChunk } from './blob/chunk-table.js'
export { ChunkedBlobReader, type ChunkedBlobReaderInit, type FetchChunk } from './blob/chunked-reader.js'
export { BlobCursor, type SeekOrigin } from './blob/cursor.js'
export { MemoryBlobReader } from './blob/memory-reader.js'
export { NaiveSeeker } from './blob/naive-seeker.js'
export { type BlobStreamOptions, blobStream } from './blob/stream.js'
export { BlobWriterBase } from './blob/writer-base.js'
export type { BlobListStore } from './blob-list-store.js'
export {
  type BlobReader,
  type BlobService,
  type BlobWriter,
  type ByteRange,
  type ChunkMeta,
  DEFAULT_GET_MAX_SIZE,
  type GetBlobOptions,
  type OpenBlobOptions,
} from './blob-service.js'
export type { CallOptions } from './call-options.js'
export { type ChunkStore, DEFAULT_MAX_CHUNK_SIZE, type GetChunkOptions } from './chunk-store.js'
export { abortable } from './concurrency/abortable.js'
export { LruMap } from './concurrency/lru-map.js'
export { mapOrdered } from './concurrency/map-ordered.js'
export { type BytePermit, ByteSemaphore } from './concurrency/semaphore.js'
export { SingleFlight } from './concurrency/single-flight.js'
export { descend } from './descend.js'
export { DirectoryGraph } from './directory/graph.js'
export { type CommitClosure, GraphPutter } from './directory/graph-putter.js'
export { LeavesToRoot, RootToLeaves } from './directory/order.js'
export { SimplePutter } from './directory/simple-putter.js'
export { type TraverseOptions, traverseDirectory } from './directory/traverse.js'
export type { ValidatedGraph } from './directory/validated-graph.js'
export type { DirectoryPutter, DirectoryService } from './directory-service.js'
export {
  BlobTooLargeError,
  CastoreError,
  type CastoreErrorCode,
  type CastoreErrorKind,
  DataLossError,
  DirectoryOrderError,
  MissingChunkError,
  WrongSizeError,
} from './errors.js'
