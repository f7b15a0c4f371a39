import type { Location } from '@neve/embedded-store'

/** Numbers that say where a record lies: segment, offset, stored length and length of the content. */
export const PLACE = 4
/** Length of a record's header in bytes. */
const HEADER = 52
/** What lies between two records is read along, up to this length in bytes. */
const GAP = 32 * 1024

/** Room for the records of one batch as they are stored, and for their contents, in bytes. */
export const BATCH_ROOM = 2 * 1024 * 1024
/** The most records of one batch. */
const MAX_RECORDS = 1024

/** Records to be read and checked together. */
export interface RecordList {
  /** Their keys, 32 bytes each, in the order in which they are read. */
  readonly digests: Uint8Array
  /** {@link PLACE} numbers each. */
  readonly places: Uint32Array
  /** What they are, one number a blob: how many chunks it has, or 0 where the record is the whole blob. */
  readonly counts: Uint32Array
  /** The digests of the blobs in chunks, 32 bytes each. */
  readonly wholes: Uint8Array
}

/** Whether record `index` is read in one go with the one before. */
export function goesOn(places: ArrayLike<number>, index: number): boolean {
  if (index === 0) return false
  const at = index * PLACE
  if (places[at] !== places[at - PLACE]) return false
  const gap = places[at + 1]! - places[at - PLACE + 1]! - HEADER - places[at - PLACE + 2]!
  return gap >= 0 && gap <= GAP
}

/** Collects blobs whose records are to be read and checked together, in the order given. */
export class RecordBatch {
  #digests = Buffer.allocUnsafe(32 * 64)
  #places: number[] = []
  #counts: number[] = []
  #wholes: Uint8Array[] = []
  #stored = 0
  #most: number
  /** How many records it has. */
  records = 0
  /** Length of their contents, in bytes. */
  bytes = 0

  /** @param most takes no further record when the contents have more bytes than this. Default: {@link BATCH_ROOM} */
  constructor(most: number = BATCH_ROOM) {
    this.#most = Math.min(most, BATCH_ROOM)
  }

  /** Whether an empty batch has room for a record. There is none for one that is said to be longer than its content. */
  static holds({ storedLength, rawLength }: Location): boolean {
    return storedLength <= rawLength && rawLength + HEADER <= BATCH_ROOM
  }

  /**
   * Adds a blob that is one record, or a chunk to be taken for itself.
   *
   * @returns false when there is no room for it
   */
  add(digest: Uint8Array, location: Location): boolean {
    if (!this.#record(digest, 0, location)) return false
    this.#counts.push(0)
    return true
  }

  /**
   * Adds a blob in chunks.
   *
   * @param digests those of the chunks, `stride` bytes apart
   * @returns false when there is no room for all of it
   */
  addChunks(
    digest: Uint8Array,
    digests: Uint8Array,
    stride: number,
    locations: readonly Location[],
  ): boolean {
    const before = { records: this.records, bytes: this.bytes, stored: this.#stored }
    for (const [index, location] of locations.entries()) {
      if (this.#record(digests, index * stride, location)) continue
      this.records = before.records
      this.bytes = before.bytes
      this.#stored = before.stored
      this.#places.length = before.records * PLACE
      return false
    }
    this.#counts.push(locations.length)
    this.#wholes.push(digest)
    return true
  }

  #record(
    digests: Uint8Array,
    from: number,
    { segment, offset, storedLength, rawLength }: Location,
  ): boolean {
    const index = this.records
    if (index === MAX_RECORDS) return false
    this.#places.push(segment, offset, storedLength, rawLength)
    const gap = goesOn(this.#places, index) ? offset - this.#endOf(index - 1) : 0
    const stored = this.#stored + gap + HEADER + storedLength
    const bytes = this.bytes + rawLength
    if (stored > BATCH_ROOM || bytes > BATCH_ROOM || (index > 0 && bytes > this.#most)) {
      this.#places.length = index * PLACE
      return false
    }
    const at = index * 32
    if (at === this.#digests.length) this.#digests = Buffer.concat([this.#digests, Buffer.allocUnsafe(at)])
    this.#digests.set(digests.subarray(from, from + 32), at)
    this.#stored = stored
    this.bytes = bytes
    this.records = index + 1
    return true
  }

  #endOf(index: number): number {
    const at = index * PLACE
    return this.#places[at + 1]! + HEADER + this.#places[at + 2]!
  }

  /** What was collected. Nothing may be added afterwards. */
  list(): RecordList {
    return {
      digests: this.#digests.subarray(0, 32 * this.records),
      places: Uint32Array.from(this.#places),
      counts: Uint32Array.from(this.#counts),
      wholes: Buffer.concat(this.#wholes),
    }
  }
}
