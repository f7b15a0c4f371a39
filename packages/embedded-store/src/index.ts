/**
 * The storage engine of Neve: bytes under keys in one folder, for many processes at once.
 *
 * @packageDocumentation
 */
export { ContentReader, type StoredContent } from './content-reader.js'
export { DamagedRecordError, EmbeddedStoreError, type EmbeddedStoreErrorCode } from './errors.js'
export { FORMAT_VERSION } from './format.js'
export type { RebuildReport } from './rebuild.js'
export { KEY_LENGTH, MAX_RECORD_CONTENT, RecordKind } from './record.js'
export { EmbeddedStore, type EmbeddedStoreOptions } from './store.js'
export { type PackedRecord, SEGMENT_SIZE, type WriteSession } from './store-writer.js'
export type { Location, SegmentState, TableName } from './tables.js'
