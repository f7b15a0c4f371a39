import { read as readCallback } from 'node:fs'
import { promisify } from 'node:util'
import { DamagedRecordError, wrapError } from './errors.js'
import {
  checksumHolds,
  expandInto,
  KEY_LENGTH,
  keyMatches,
  parseHeader,
  RECORD_HEADER,
  RecordKind,
} from './record.js'
import { type SegmentFiles, segmentName } from './segment.js'
import type { Location, Tables } from './tables.js'

const readAsync = promisify(readCallback)

/** How far a read may lie ahead of the last one and still count as going on from it, in bytes. */
const NEAR = 256 * 1024
const FIRST_WINDOW = 64 * 1024
const LAST_WINDOW = 1024 * 1024

/** A stored piece of content: checksum verified, not yet expanded. */
export interface StoredContent {
  /** Length of the content in bytes. */
  readonly rawLength: number
  /** Whether `payload` is a zstd frame; otherwise it is the content itself. */
  readonly compressed: boolean
  /** The stored bytes: a view that is valid until the reader is asked for something else. */
  readonly payload: Uint8Array
}

/**
 * Reads content in the order in which it was written with few system calls: whoever asks in the order of an import is
 * answered from blocks of up to one MiB, and the index is asked only where that order breaks. One reader serves one
 * consumer; it is cheap, so take one for every walk.
 */
export class ContentReader {
  readonly #tables: Tables
  readonly #files: SegmentFiles
  readonly #salt: number
  #block: Uint8Array = new Uint8Array(0)
  #blockLength = 0
  #blockSegment = -1
  #blockOffset = 0
  #next = 0
  #window = 0

  constructor(tables: Tables, files: SegmentFiles, salt: number) {
    this.#tables = tables
    this.#files = files
    this.#salt = salt
  }

  /**
   * The content if the block at hand has it.
   *
   * @throws {@link DamagedRecordError}
   */
  peek(key: Uint8Array): StoredContent | undefined {
    const at = this.#next
    const header = at + RECORD_HEADER <= this.#blockLength ? parseHeader(this.#block, at) : undefined
    if (header === undefined || header.kind !== RecordKind.content || !keyMatches(this.#block, at, key))
      return undefined
    if (at + RECORD_HEADER + header.storedLength > this.#blockLength) return undefined
    return this.#take(key, at)
  }

  /**
   * The content, or undefined where there is none.
   *
   * @throws {@link DamagedRecordError}
   */
  async read(key: Uint8Array): Promise<StoredContent | undefined> {
    const hit = this.peek(key)
    if (hit !== undefined) return hit
    const location = this.#tables.locate(key)
    if (location === undefined) return undefined
    if (!this.#holds(location)) {
      const length = this.#plan(location)
      this.#blockLength = await this.#guard(location, key, async () => {
        const descriptor = this.#files.descriptor(location.segment)
        const { bytesRead } = await readAsync(descriptor, this.#block, 0, length, location.offset)
        return bytesRead
      })
      this.#blockSegment = location.segment
      this.#blockOffset = location.offset
    }
    return this.#take(key, location.offset - this.#blockOffset, location)
  }

  /** As {@link read}, without leaving the calling thread. For worker threads and for small stores. */
  readSync(key: Uint8Array): StoredContent | undefined {
    const hit = this.peek(key)
    if (hit !== undefined) return hit
    const location = this.#tables.locate(key)
    if (location === undefined) return undefined
    if (!this.#holds(location)) {
      const length = this.#plan(location)
      try {
        this.#blockLength = this.#files.read(location.segment, this.#block, length, location.offset)
      } catch (error) {
        throw this.#unreadable(error, key, location)
      }
      this.#blockSegment = location.segment
      this.#blockOffset = location.offset
    }
    return this.#take(key, location.offset - this.#blockOffset, location)
  }

  /**
   * Writes the content of `stored` into `out`, which must have `stored.rawLength` bytes.
   *
   * @returns false if the stored bytes are not what they should be
   */
  expand(stored: StoredContent, out: Uint8Array): boolean {
    if (stored.compressed) return expandInto(out, stored.payload)
    if (out.length !== stored.payload.length) return false
    out.set(stored.payload)
    return true
  }

  #holds(location: Location): boolean {
    if (location.segment !== this.#blockSegment) return false
    const at = location.offset - this.#blockOffset
    return at >= 0 && at + RECORD_HEADER + location.storedLength <= this.#blockLength
  }

  /** Decides how much to read from `location.offset` on, and makes room for it. */
  #plan(location: Location): number {
    const needed = RECORD_HEADER + location.storedLength
    const ahead = location.offset - (this.#blockOffset + this.#next)
    const goesOn = location.segment === this.#blockSegment && ahead >= 0 && ahead <= NEAR
    this.#window = goesOn ? Math.min(Math.max(this.#window * 2, FIRST_WINDOW), LAST_WINDOW) : 0
    const length = Math.max(needed, this.#window)
    if (this.#block.length < length) this.#block = Buffer.allocUnsafeSlow(length)
    this.#blockLength = 0
    this.#next = 0
    return length
  }

  #take(key: Uint8Array, at: number, location?: Location): StoredContent {
    const header = parseHeader(this.#block.subarray(0, this.#blockLength), at)
    const damaged = (reason: string): DamagedRecordError =>
      new DamagedRecordError(
        Buffer.from(key.buffer, key.byteOffset, KEY_LENGTH).toString('hex'),
        segmentName(this.#blockSegment),
        this.#blockOffset + at,
        reason,
      )
    if (header === undefined) throw damaged('no record header')
    if (header.kind !== RecordKind.content || !keyMatches(this.#block, at, key))
      throw damaged('record of another key')
    if (location !== undefined) {
      if (header.storedLength !== location.storedLength || header.rawLength !== location.rawLength) {
        throw damaged('lengths differ from the index')
      }
      if (at + RECORD_HEADER + header.storedLength > this.#blockLength)
        throw damaged('the segment ends too early')
    }
    if (!checksumHolds(this.#block, at, header.storedLength, this.#salt)) throw damaged('checksum differs')
    const start = at + RECORD_HEADER
    this.#next = start + header.storedLength
    return {
      rawLength: header.rawLength,
      compressed: header.compressed,
      payload: this.#block.subarray(start, this.#next),
    }
  }

  async #guard(location: Location, key: Uint8Array, read: () => Promise<number>): Promise<number> {
    try {
      return await read()
    } catch (error) {
      throw this.#unreadable(error, key, location)
    }
  }

  #unreadable(error: unknown, key: Uint8Array, location: Location): Error {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
      const hex = Buffer.from(key.buffer, key.byteOffset, KEY_LENGTH).toString('hex')
      return new DamagedRecordError(
        hex,
        segmentName(location.segment),
        location.offset,
        'the segment is missing',
      )
    }
    return wrapError(error, `read ${segmentName(location.segment)}`)
  }
}
