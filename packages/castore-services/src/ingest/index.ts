export { ConcurrentBlobUploader, type ConcurrentBlobUploaderInit } from './blob-uploader.js'
export {
  type DirectoryEntryEnd,
  type IngestEntriesOptions,
  type IngestionEntry,
  ingestEntries,
  type RegularEntry,
  type SymlinkEntry,
} from './entries.js'
export {
  DigestMismatchError,
  IngestError,
  type IngestErrorCode,
  OrphanedDirectoriesError,
  UnexpectedSizeError,
} from './errors.js'
