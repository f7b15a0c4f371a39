import { EmbeddedStoreError } from './errors.js'
import { headerHolds, parseHeader, RECORD_HEADER, RecordKind, rawLengthAt, recordLengthAt } from './record.js'

/** The longest run of packed records, in bytes: offsets in a segment must fit in 32 bits. */
export const MAX_RUN = 2 ** 30

/**
 * Reads the headers of the content records that start at these offsets of a run, and refuses a run that is not as it
 * should be: the index would point to something else for good.
 */
export function checkRun(run: Uint8Array, offsets: readonly number[], salt: number): void {
  if (run.length > MAX_RUN) {
    throw invalid(`a run of records may have ${MAX_RUN} bytes, this has ${run.length}`)
  }
  let end = 0
  for (const offset of offsets) {
    if (!(offset >= end)) throw invalid(`a record at offset ${offset} of a run, where ${end} is the least`)
    const header = parseHeader(run, offset)
    if (header === undefined || header.kind !== RecordKind.content || !headerHolds(run, offset, salt)) {
      throw invalid(`no content record of this store at offset ${offset} of the run`)
    }
    end = offset + RECORD_HEADER + header.storedLength
    if (end > run.length)
      throw invalid(`the record at offset ${offset} ends at ${end}, the run at ${run.length}`)
  }
}

/** Collects records of a run, in order, without what lies between them: those that adjoin are one piece. */
export class RunPieces {
  readonly #pieces: Uint8Array[] = []
  readonly #run: Uint8Array
  #start = 0
  #end = 0
  /** Length of the records so far, and of their contents, in bytes. */
  length = 0
  rawBytes = 0

  constructor(run: Uint8Array) {
    this.#run = run
  }

  /** Adds the record at `offset`. */
  add(offset: number): void {
    if (offset !== this.#end) this.#cut(offset)
    const length = recordLengthAt(this.#run, offset)
    this.#end = offset + length
    this.length += length
    this.rawBytes += rawLengthAt(this.#run, offset)
  }

  finish(): readonly Uint8Array[] {
    this.#cut(0)
    return this.#pieces
  }

  #cut(next: number): void {
    if (this.#end > this.#start) this.#pieces.push(this.#run.subarray(this.#start, this.#end))
    this.#start = next
    this.#end = next
  }
}

function invalid(message: string): EmbeddedStoreError {
  return new EmbeddedStoreError('invalid-input', message)
}
