/**
 * The storage engine of Neve: bytes under keys in one folder, for many processes at once.
 *
 * @packageDocumentation
 */
export { Collector, type CondemnedKey, type StoredKey } from './collector.js'
export type { Compaction, CompactionOptions, SegmentUse } from './compaction.js'
export type { CollectorState, Condemnable, CondemnedEpoch } from './condemned.js'
export { ContentReader, type ContentReaderOptions, type StoredContent } from './content-reader.js'
export { MAX_TABLE_KEY, type TableName } from './entry-record.js'
export { DamagedRecordError, EmbeddedStoreError, type EmbeddedStoreErrorCode } from './errors.js'
export { FORMAT_VERSION } from './format.js'
export type { LeaseHolder } from './lease.js'
export type { RebuildReport } from './rebuild.js'
export { KEY_LENGTH, MAX_RECORD_CONTENT, RecordKind } from './record.js'
export type { SnapshotOptions, SnapshotReport } from './snapshot.js'
export { EmbeddedStore } from './store.js'
export type { EmbeddedStoreOptions } from './store-options.js'
export { SEGMENT_SIZE } from './store-writer.js'
export type { Location, SegmentState } from './table-values.js'
export { encodeUse, UseLog } from './use-log.js'
export type { PackedAppend, WriteSession } from './write-session.js'
export { isFrameOf } from './zstd-frame.js'
