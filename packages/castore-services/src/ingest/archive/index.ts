/**
 * Trees out of tar archives.
 *
 * @packageDocumentation
 */
export { type DecompressedOptions, decompressed } from './decompressed.js'
export {
  EntryGraph,
  type EntryGraphInit,
  type GraphNode,
  type TopLevel,
  type TreeCounts,
} from './entry-graph.js'
export { ArchiveError, type ArchiveErrorCode, type ArchiveErrorInit } from './errors.js'
export {
  type ArchiveProgress,
  type ArchiveServices,
  type IngestArchiveOptions,
  ingestArchive,
} from './ingest-archive.js'
export type { ArchiveLimits } from './limits.js'
