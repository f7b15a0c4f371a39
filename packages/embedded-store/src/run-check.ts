import { EmbeddedStoreError } from './errors.js'
import { headerHolds, parseHeader, RECORD_HEADER, type RecordHeader, RecordKind } from './record.js'

/** The longest run of packed records, in bytes: offsets in a segment must fit in 32 bits. */
export const MAX_RUN = 2 ** 30

/** Where a record lies in a run, and what its header says. Offsets and lengths are in bytes. */
export interface RunRecord extends RecordHeader {
  readonly offset: number
}

/**
 * Reads the headers of the content records that start at these offsets of a run, and refuses a run that is not as it
 * should be: the index would point to something else for good.
 */
export function recordsOfRun(run: Uint8Array, offsets: readonly number[], salt: number): RunRecord[] {
  if (run.length > MAX_RUN) {
    throw invalid(`a run of records may have ${MAX_RUN} bytes, this has ${run.length}`)
  }
  let end = 0
  return offsets.map((offset) => {
    if (!(offset >= end)) throw invalid(`a record at offset ${offset} of a run, where ${end} is the least`)
    const header = parseHeader(run, offset)
    if (header === undefined || header.kind !== RecordKind.content || !headerHolds(run, offset, salt)) {
      throw invalid(`no content record of this store at offset ${offset} of the run`)
    }
    end = offset + RECORD_HEADER + header.storedLength
    if (end > run.length)
      throw invalid(`the record at offset ${offset} ends at ${end}, the run at ${run.length}`)
    return { ...header, offset }
  })
}

/** The bytes of records, without what lies between them: those that adjoin are one piece. */
export function recordPieces(run: Uint8Array, records: readonly RunRecord[]): Uint8Array[] {
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
