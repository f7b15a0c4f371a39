import { DamagedRecordError, EmbeddedStoreError, keyHex, wrapError } from './errors.js'
import {
  checksumHolds,
  expandInto,
  keyMatches,
  parseHeader,
  RECORD_HEADER,
  RecordKind,
  viewOf,
} from './record.js'
import { type SegmentFiles, segmentName } from './segment.js'
import type { Location } from './table-values.js'
import type { Tables } from './tables.js'
import { isFrameOf } from './zstd-frame.js'

/** How far a read may lie ahead of the last one and still count as going on from it, in bytes. */
const NEAR = 256 * 1024
const FIRST_WINDOW = 64 * 1024
const LAST_WINDOW = 1024 * 1024

/** How a {@link ContentReader} reads. */
export interface ContentReaderOptions {
  /**
   * Whether to verify the checksum of what is read. Default: true. Whoever compares the content with a digest of its
   * own saves the time; after a mismatch ask a reader that does verify, which also looks for content that was written
   * again elsewhere. `compressed` verifies that of compressed content only.
   */
  readonly checksums?: boolean | 'compressed'
}

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
 * consumer, one read at a time; it is cheap, so take one for every walk.
 */
export class ContentReader {
  readonly #tables: Tables
  readonly #files: SegmentFiles
  readonly #salt: number
  readonly #checksums: boolean | 'compressed'
  #block: Uint8Array = new Uint8Array(0)
  #blockLength = 0
  #blockSegment = -1
  #blockOffset = 0
  #next = 0
  #window = 0
  #busy = false

  constructor(tables: Tables, files: SegmentFiles, salt: number, options: ContentReaderOptions = {}) {
    this.#tables = tables
    this.#files = files
    this.#salt = salt
    this.#checksums = options.checksums ?? true
  }

  /**
   * The content if the block at hand has it, sound, right after the last that was read.
   *
   * @throws {@link EmbeddedStoreError} `closed`, `invalid-input` while a read is under way
   */
  peek(key: Uint8Array): StoredContent | undefined {
    this.#checkReady()
    const at = this.#next
    if (at + RECORD_HEADER > this.#blockLength || !keyMatches(this.#block, at, key)) return undefined
    const taken = this.#take(key, at)
    return typeof taken === 'string' ? undefined : taken
  }

  /**
   * The content, or undefined where there is none. Ask for the next only when the promise has settled.
   *
   * @throws {@link DamagedRecordError}, {@link EmbeddedStoreError} `closed`, `io`
   */
  async read(key: Uint8Array): Promise<StoredContent | undefined> {
    const hit = this.peek(key)
    if (hit !== undefined) return hit
    for (let location = this.#tables.locate(key); location !== undefined; ) {
      if (!this.#holds(location)) {
        const length = this.#plan(location)
        this.#busy = true
        try {
          this.#loaded(
            location,
            await this.#files.read(location.segment, this.#block, length, location.offset),
          )
        } catch (error) {
          this.#unreadable(error, location)
        } finally {
          this.#busy = false
        }
      }
      const taken = this.#takeAt(key, location)
      if (typeof taken !== 'string') return taken
      location = this.#elsewhere(key, location, taken)
    }
    return undefined
  }

  /** As {@link read}, without leaving the calling thread. For worker threads and for small stores. */
  readSync(key: Uint8Array): StoredContent | undefined {
    const hit = this.peek(key)
    if (hit !== undefined) return hit
    for (let location = this.#tables.locate(key); location !== undefined; ) {
      if (!this.#holds(location)) {
        const length = this.#plan(location)
        try {
          this.#loaded(location, this.#files.readSync(location.segment, this.#block, length, location.offset))
        } catch (error) {
          this.#unreadable(error, location)
        }
      }
      const taken = this.#takeAt(key, location)
      if (typeof taken !== 'string') return taken
      location = this.#elsewhere(key, location, taken)
    }
    return undefined
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

  /** Whether a compressed payload is one whole zstd frame that says it gives `rawLength` bytes: fit to be sent as it is. */
  isWholeFrame(stored: StoredContent): boolean {
    return stored.compressed && isFrameOf(stored.payload, stored.rawLength)
  }

  #checkReady(): void {
    this.#tables.checkOpen()
    if (this.#busy)
      throw new EmbeddedStoreError('invalid-input', 'a content reader was asked while it was reading')
  }

  #holds(location: Location): boolean {
    if (location.segment !== this.#blockSegment) return false
    const at = location.offset - this.#blockOffset
    return at >= 0 && at + RECORD_HEADER + location.storedLength <= this.#blockLength
  }

  /** Decides how much to read from `location.offset` on, and makes room for it. */
  #plan(location: Location): number {
    // More than its content a record never has, whatever a damaged index says.
    const needed = RECORD_HEADER + Math.min(location.storedLength, location.rawLength)
    const ahead = location.offset - (this.#blockOffset + this.#next)
    const goesOn = location.segment === this.#blockSegment && ahead >= 0 && ahead <= NEAR
    this.#window = goesOn ? Math.min(Math.max(this.#window * 2, FIRST_WINDOW), LAST_WINDOW) : 0
    let length = needed
    if (this.#window > needed) {
      // What lies behind the committed length may still change.
      const committed = this.#tables.segmentState(location.segment)?.committed ?? 0
      length = Math.max(needed, Math.min(this.#window, committed - location.offset))
    }
    const room = this.#block.length
    if (room < length || (room > 4 * LAST_WINDOW && length <= LAST_WINDOW)) {
      this.#block = Buffer.allocUnsafeSlow(length)
    }
    this.#blockLength = 0
    this.#next = 0
    return length
  }

  #loaded(location: Location, length: number): void {
    this.#blockSegment = location.segment
    this.#blockOffset = location.offset
    this.#blockLength = length
  }

  #unreadable(error: unknown, location: Location): void {
    this.#loaded(location, 0)
    const code = error instanceof Error && 'code' in error ? error.code : ''
    // A segment that is gone or a sector that cannot be read: damage, which writing the content again heals.
    if (code !== 'ENOENT' && code !== 'EIO')
      throw wrapError(error, `read segment ${segmentName(location.segment)}`)
  }

  #takeAt(key: Uint8Array, location: Location): StoredContent | string {
    const at = location.offset - this.#blockOffset
    if (this.#blockLength - at < RECORD_HEADER + location.storedLength) {
      return this.#blockLength === 0 ? 'the segment is missing or unreadable' : 'the segment ends too early'
    }
    const taken = this.#take(key, at)
    if (typeof taken === 'string') return taken
    const same = taken.payload.length === location.storedLength && taken.rawLength === location.rawLength
    return same ? taken : 'lengths differ from the index'
  }

  /** @returns the content, or what is wrong */
  #take(key: Uint8Array, at: number): StoredContent | string {
    const header = parseHeader(this.#block, at, this.#blockLength)
    if (header === undefined) return 'no record header'
    if (header.kind !== RecordKind.content || !keyMatches(this.#block, at, key))
      return 'record of another key'
    const start = at + RECORD_HEADER
    const end = start + header.storedLength
    if (end > this.#blockLength) return 'the record ends too late'
    const verify = this.#checksums === 'compressed' ? header.compressed : this.#checksums
    if (verify && !checksumHolds(this.#block, at, header.storedLength, this.#salt)) {
      return 'checksum differs'
    }
    this.#next = end
    return {
      rawLength: header.rawLength,
      compressed: header.compressed,
      payload: viewOf(this.#block, start, end),
    }
  }

  /** Where the content lies by now, if not where it could not be read: somebody may have written it again. */
  #elsewhere(key: Uint8Array, location: Location, reason: string): Location | undefined {
    this.#tables.refresh()
    const now = this.#tables.locate(key)
    if (now === undefined || now.segment !== location.segment || now.offset !== location.offset) return now
    throw new DamagedRecordError(keyHex(key), segmentName(location.segment), location.offset, reason)
  }
}
