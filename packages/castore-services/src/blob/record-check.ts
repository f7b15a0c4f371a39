import { blake3, equalBytes } from '@neve/castore-model'
import type { EmbeddedStore } from '@neve/embedded-store'
import { expandInto, keyMatches, parseHeader, RECORD_HEADER, RecordKind } from '@neve/embedded-store/record'
import { SegmentFiles } from '@neve/embedded-store/segment'
import { type SlotTask, SlotThreads, type TaskRunner } from '../concurrency/slot-threads.js'
import { BATCH_ROOM, goesOn, PLACE, type RecordList } from './record-batch.js'

export { type Slot, SlotAllowance } from '../concurrency/slot-threads.js'
export { BATCH_ROOM, RecordBatch, type RecordList } from './record-batch.js'

/** Records of an embedded store to be checked where they are said to lie. */
export interface RecordCheckTask extends RecordList, SlotTask {
  /** Whether the contents are wanted: they stay in the slot. */
  readonly keeps: boolean
}

/** What was found out. */
export interface RecordCheckResult {
  /** Which blobs are not what they should be, or could not be read: by their place in the list, ascending. */
  readonly unsound: readonly number[]
  /** Where the content of each record begins in the slot's raw part, where they are wanted. */
  readonly starts: Int32Array | undefined
}

/**
 * Reads records where they are said to lie, many at once, expands them, and compares the content with its digest, and blobs in
 * chunks as a whole with theirs. It needs the segments only, not the tables.
 */
export class RecordChecks implements TaskRunner<RecordCheckTask, RecordCheckResult> {
  readonly #files: SegmentFiles

  constructor(segmentFolder: string) {
    this.#files = new SegmentFiles(segmentFolder)
  }

  run({ slot: { raw }, digests, places, counts, wholes, keeps }: RecordCheckTask): RecordCheckResult {
    const starts = this.#load(places, raw)
    const unsound: number[] = []
    let record = 0
    let whole = 0
    // Contents that nobody wants all go to the same place.
    let room = BATCH_ROOM
    for (const [blob, count] of counts.entries()) {
      const hasher = count > 0 ? blake3.hasher() : undefined
      let sound = true
      for (const last = record + Math.max(count, 1); record < last; record++) {
        const digest = digests.subarray(32 * record, 32 * record + 32)
        const start = expandRecord(raw, starts[record]!, digest, places, record, room)
        const content = raw.subarray(start, start + places[record * PLACE + 3]!)
        if (start < 0 || !equalBytes(blake3.digest(content), digest)) {
          sound = false
          continue
        }
        hasher?.update(content)
        starts[record] = start
        if (keeps && start === room) room += content.length
      }
      if (hasher !== undefined) {
        sound = equalBytes(hasher.digest(), wholes.subarray(whole, whole + 32)) && sound
        whole += 32
      }
      if (!sound) unsound.push(blob)
    }
    return { unsound, starts: keeps ? starts : undefined }
  }

  close(): void {
    this.#files.close()
  }

  /** @returns where each record begins in `out`; -1 where it could not be read */
  #load(places: Uint32Array, out: Buffer): Int32Array {
    const at = new Int32Array(places.length / PLACE)
    for (let first = 0, from = 0; first < at.length; ) {
      let next = first + 1
      while (next < at.length && goesOn(places, next)) next++
      const offset = places[first * PLACE + 1]!
      const last = (next - 1) * PLACE
      const length = places[last + 1]! + RECORD_HEADER + places[last + 2]! - offset
      const read = this.#read(places[first * PLACE]!, out.subarray(from, from + length), offset)
      for (; first < next; first++) {
        const start = places[first * PLACE + 1]! - offset
        const end = start + RECORD_HEADER + places[first * PLACE + 2]!
        at[first] = end <= read ? from + start : -1
      }
      from += length
    }
    return at
  }

  /** @returns how much could be read, in bytes: whoever looks closer finds out why it was less */
  #read(segment: number, out: Buffer, offset: number): number {
    try {
      return this.#files.readSync(segment, out, out.length, offset)
    } catch {
      return 0
    }
  }
}

/**
 * Has the content of a record at hand: where it is stored as it is, or expanded to `room`.
 *
 * @param at where the record begins; -1 where it could not be read
 * @returns where the content begins, or -1 when the record is not the one that should be there
 */
function expandRecord(
  raw: Buffer,
  at: number,
  digest: Uint8Array,
  places: Uint32Array,
  record: number,
  room: number,
): number {
  const storedLength = places[record * PLACE + 2]!
  const rawLength = places[record * PLACE + 3]!
  const start = at + RECORD_HEADER
  const header = at < 0 ? undefined : parseHeader(raw, at, start + storedLength)
  if (header === undefined || header.kind !== RecordKind.content || !keyMatches(raw, at, digest)) return -1
  if (header.storedLength !== storedLength || header.rawLength !== rawLength) return -1
  if (!header.compressed) return start
  const expanded = raw.subarray(room, room + rawLength)
  return expandInto(expanded, raw.subarray(start, start + storedLength)) ? room : -1
}

/** Threads that check records of one embedded store. */
export class RecordCheckThreads extends SlotThreads<RecordCheckTask, RecordCheckResult> {
  constructor({ segmentFolder }: EmbeddedStore, count?: number) {
    super({
      module: '@neve/castore-services/blob/record-check-worker',
      workerData: { segmentFolder },
      rawRoom: 2 * BATCH_ROOM,
      packedRoom: 0,
      here: () => new RecordChecks(segmentFolder),
      count,
    })
  }
}
