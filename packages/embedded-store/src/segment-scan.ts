import { fstatSync, readSync } from 'node:fs'
import { checksumHolds, headerHolds, parseHeader, RECORD_HEADER } from './record.js'
import { isSegmentHeader, SEGMENT_HEADER } from './segment.js'

const BLOCK = 4 * 1024 * 1024
const MAGIC = Buffer.from('NVR1', 'latin1')

/** A sound record. Key and payload are views that the next step of the scan overwrites. */
export interface ScannedRecord {
  readonly kind: number
  readonly key: Uint8Array
  /** Where it starts in the segment, in bytes. */
  readonly offset: number
  readonly rawLength: number
  readonly compressed: boolean
  readonly payload: Uint8Array
}

/** Walks the sound records of one segment, past damage. */
export class SegmentScan {
  readonly id: number
  records = 0
  /** Bytes that belong to no sound record, nor to a sound header of the segment. */
  skipped = 0
  /** The end of the last sound record. */
  end = SEGMENT_HEADER
  readonly #descriptor: number
  readonly #salt: number
  #block = Buffer.allocUnsafeSlow(BLOCK)
  #start = 0
  #length = 0

  constructor(descriptor: number, id: number, salt: number) {
    this.#descriptor = descriptor
    this.id = id
    this.#salt = salt
  }

  *scan(): Generator<ScannedRecord> {
    const size = fstatSync(this.#descriptor).size
    const sound =
      this.#has(0, SEGMENT_HEADER) && isSegmentHeader(this.#view(0, SEGMENT_HEADER), this.id, this.#salt)
    // The records say for themselves whose they are: they are good without the segment's header.
    let at = sound ? SEGMENT_HEADER : this.#findMagic(0, size)
    if (!sound) this.skipped += at
    while (at < size) {
      const record = this.#record(at, size)
      if (record === undefined) {
        const next = this.#findMagic(at + 1, size)
        this.skipped += next - at
        at = next
        continue
      }
      this.records++
      at += RECORD_HEADER + record.payload.length
      this.end = at
      yield record
    }
  }

  #record(at: number, size: number): ScannedRecord | undefined {
    if (at + RECORD_HEADER > size || !this.#has(at, RECORD_HEADER)) return undefined
    const view = this.#view(at, RECORD_HEADER)
    const header = parseHeader(view, 0)
    if (header === undefined || !headerHolds(view, 0, this.#salt)) return undefined
    const length = RECORD_HEADER + header.storedLength
    if (at + length > size || !this.#has(at, length)) return undefined
    const bytes = this.#view(at, length)
    if (!checksumHolds(bytes, 0, header.storedLength, this.#salt)) return undefined
    return {
      kind: header.kind,
      key: bytes.subarray(20, RECORD_HEADER),
      offset: at,
      rawLength: header.rawLength,
      compressed: header.compressed,
      payload: bytes.subarray(RECORD_HEADER),
    }
  }

  /** Where the next thing that may be a record starts; `size` if there is none. */
  #findMagic(from: number, size: number): number {
    for (let at = from; at + MAGIC.length <= size; ) {
      if (!this.#has(at, MAGIC.length)) return size
      const found = this.#view(at, this.#start + this.#length - at).indexOf(MAGIC)
      if (found >= 0) return at + found
      at = this.#start + this.#length - MAGIC.length + 1
    }
    return size
  }

  #has(at: number, length: number): boolean {
    if (at >= this.#start && at + length <= this.#start + this.#length) return true
    const room = Math.max(BLOCK, length)
    if (this.#block.length !== room) this.#block = Buffer.allocUnsafeSlow(room)
    this.#start = at
    this.#length = 0
    while (this.#length < room) {
      const read = readSync(
        this.#descriptor,
        this.#block,
        this.#length,
        room - this.#length,
        at + this.#length,
      )
      if (read === 0) break
      this.#length += read
    }
    return this.#length >= length
  }

  #view(at: number, length: number): Buffer {
    return this.#block.subarray(at - this.#start, at - this.#start + length)
  }
}
