import type { EmbeddedStore, Location } from '@neve/embedded-store'

/** What a record takes besides its payload, in bytes, and the change of a table besides its value. */
const RECORD_HEADER = 52
const ENTRY_HEADER = RECORD_HEADER + 9

/** What some content takes in the segments of an embedded store, in bytes; 0 where it is missing. */
export function contentBytes(location: Location | undefined): number {
  return location === undefined ? 0 : RECORD_HEADER + location.storedLength
}

/** What a directory, the list of a blob's chunks or a path info takes in them, in bytes. */
export function entryBytes(value: Uint8Array): number {
  return ENTRY_HEADER + value.length
}

/** What everything in an embedded store takes in its segments, in bytes, but for what was replaced or removed. */
export function storedBytes(engine: EmbeddedStore): number {
  let bytes = 0
  for (const [, location] of engine.locations()) bytes += contentBytes(location)
  for (const table of ['directories', 'blobs', 'pathInfos'] as const) {
    for (const [, value] of engine.entries(table)) bytes += entryBytes(value)
  }
  return bytes
}
