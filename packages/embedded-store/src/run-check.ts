import { EmbeddedStoreError } from './errors.js'
import { headerHolds, KEY_LENGTH, keyMatches, parseHeader, RECORD_HEADER, RecordKind } from './record.js'
import type { PackedRecord } from './write-session.js'

/** The longest run of packed records, in bytes: offsets in a segment must fit in 32 bits. */
export const MAX_RUN = 2 ** 30

/** Refuses a run of records whose description does not fit: the index would point to something else for good. */
export function checkRun(run: Uint8Array, records: readonly PackedRecord[], salt: number): void {
  if (run.length > MAX_RUN) {
    throw invalid(`a run of records may have ${MAX_RUN} bytes, this has ${run.length}`)
  }
  let end = 0
  for (const { key, offset, storedLength, rawLength } of records) {
    if (key.length !== KEY_LENGTH)
      throw invalid(`a key must have ${KEY_LENGTH} bytes, this has ${key.length}`)
    if (!(offset >= end)) throw invalid(`a record at offset ${offset} of a run, where ${end} is the least`)
    const header = parseHeader(run, offset)
    if (header === undefined || header.kind !== RecordKind.content || !headerHolds(run, offset, salt)) {
      throw invalid(`no content record of this store at offset ${offset} of the run`)
    }
    if (
      header.storedLength !== storedLength ||
      header.rawLength !== rawLength ||
      !keyMatches(run, offset, key)
    ) {
      throw invalid(`the record at offset ${offset} of the run is not the one described`)
    }
    end = offset + RECORD_HEADER + storedLength
    if (end > run.length)
      throw invalid(`the record at offset ${offset} ends at ${end}, the run at ${run.length}`)
  }
}

/** The records of a run, without what lies between them: those that adjoin are one piece. */
export function recordPieces(run: Uint8Array, records: readonly PackedRecord[]): Uint8Array[] {
  const pieces: Uint8Array[] = []
  let start = records[0]?.offset ?? 0
  let end = start
  for (const { offset, storedLength } of records) {
    if (offset > end) {
      pieces.push(run.subarray(start, end))
      start = offset
    }
    end = offset + RECORD_HEADER + storedLength
  }
  if (end > start) pieces.push(run.subarray(start, end))
  return pieces
}

function invalid(message: string): EmbeddedStoreError {
  return new EmbeddedStoreError('invalid-input', message)
}
