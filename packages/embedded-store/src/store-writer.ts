import { Batch, keyText } from './batch.js'
import { checkEntry, type EntryChange, encodeEntry } from './entry-record.js'
import { EmbeddedStoreError, wrapError } from './errors.js'
import {
  KEY_OFFSET,
  packedBound,
  packPayload,
  packRecord,
  RECORD_HEADER,
  RecordKind,
  rawLengthAt,
  recordLengthAt,
} from './record.js'
import { checkRun, RunPieces } from './run-check.js'
import { SegmentWriter } from './segment-writer.js'
import { Staging } from './staging.js'
import { encodeLocation, type SegmentState } from './table-values.js'
import type { Tables } from './tables.js'
import { type PackedAppend, WriteSession } from './write-session.js'

/** A segment is sealed once it has this length, in bytes. */
export const SEGMENT_SIZE = 256 * 1024 * 1024
/**
 * So much may wait for a commit before one is started without being asked for, in bytes and in entries. While the tables
 * are written others go on appending, which at the end nobody does: there, little should be left to write.
 */
const COMMIT_BYTES = 128 * 1024 * 1024
const COMMIT_ENTRIES = 10_000
/** So much may wait for the file system before {@link StoreWriter.room} holds callers back, in bytes. */
const PENDING_BYTES = 16 * 1024 * 1024

/**
 * The writing half of a store. Appends go to one segment; commits are made in groups: whoever asks for a commit while
 * one is running shares the next. Order of a commit: content and recorded entries reach the disk, then one LMDB
 * transaction publishes them, and only when that is on disk is anybody told.
 */
export class StoreWriter {
  readonly #folder: string
  readonly #tables: Tables
  readonly #salt: number
  readonly #segmentSize: number
  #segment: SegmentWriter | undefined
  #batch = new Batch()
  #publishing: Batch | undefined
  #running: Promise<void> | undefined
  readonly #staging = new Staging()
  #sequence = 0
  #closed = false

  constructor(folder: string, tables: Tables, salt: number, segmentSize: number) {
    this.#folder = folder
    this.#tables = tables
    this.#salt = salt
    this.#segmentSize = segmentSize
  }

  session(): WriteSession {
    this.#sequence = Math.max(this.#sequence, this.#tables.condemned.state().sequence)
    return new WriteSession(this)
  }

  /** The batch that will publish this content, if it was appended and is not yet visible. */
  pendingBatch(key: Uint8Array): Batch | undefined {
    return this.#pending(keyText(key))
  }

  #pending(text: string): Batch | undefined {
    if (this.#batch.content.has(text)) return this.#batch
    return this.#publishing?.content.has(text) === true ? this.#publishing : undefined
  }

  appendContent(key: Uint8Array, content: Uint8Array): Batch {
    const { offset, length } = this.#stage(content.length, (out, at) =>
      packRecord(out, at, RecordKind.content, key, content, this.#salt),
    )
    this.#index(key, offset, length - RECORD_HEADER, content.length)
    return this.#appended()
  }

  appendPayload(key: Uint8Array, rawLength: number, payload: Uint8Array): Batch {
    const { offset, length } = this.#stage(rawLength, (out, at) =>
      packPayload(out, at, key, rawLength, payload, this.#salt),
    )
    this.#index(key, offset, length - RECORD_HEADER, rawLength)
    return this.#appended()
  }

  /** @param touched gets the batches that publish any of the records */
  appendPacked(run: Uint8Array, offsets: readonly number[], touched: Set<Batch>): PackedAppend {
    this.#checkOpen()
    checkRun(run, offsets, this.#salt)
    const batch = this.#batch
    this.#flushStaging()
    const pieces = new RunPieces(run)
    // The segment of this append: it may be full afterwards, and the next one another.
    const segment = this.#writer()
    for (const offset of offsets) this.#takeRecord(run, offset, pieces, segment, touched)
    if (pieces.length > 0) touched.add(batch)
    const { rawBytes, length: storedBytes } = pieces
    const { written } = segment.append(pieces.finish())
    batch.bytes += storedBytes
    this.#appended()
    return { rawBytes, storedBytes, written }
  }

  /** One record of a run, unless it waits for a commit already. A method of its own: V8 need not compile all around it. */
  #takeRecord(
    run: Uint8Array,
    offset: number,
    pieces: RunPieces,
    segment: SegmentWriter,
    touched: Set<Batch>,
  ): void {
    const text = keyText(run, offset + KEY_OFFSET)
    const pending = this.#pending(text)
    if (pending !== undefined) {
      touched.add(pending)
      return
    }
    const at = segment.length + pieces.length
    const stored = recordLengthAt(run, offset) - RECORD_HEADER
    this.#batch.content.set(text, encodeLocation(segment.id, at, stored, rawLengthAt(run, offset)))
    pieces.add(offset)
  }

  put(change: EntryChange): Batch {
    const { table, key, value } = change
    this.#checkOpen()
    checkEntry(table, key, value)
    this.#sequence = Math.max(this.#sequence + 1, microseconds())
    const record = encodeEntry({ table, key, sequence: this.#sequence, value })
    if (record !== undefined) {
      const { kind, key: recordKey, content } = record
      this.#stage(content.length, (out, at) => packRecord(out, at, kind, recordKey, content, this.#salt))
    }
    this.#batch.entries.push(change)
    return this.#appended()
  }

  /** Waits until all of these batches are on disk and visible. */
  async commit(batches: Iterable<Batch>): Promise<void> {
    for (const batch of batches) {
      if (batch === this.#batch && !this.#closed) this.#publishSoon()
      await batch.done
    }
  }

  /** Resolves once little enough waits to be written that more may be appended. */
  async room(): Promise<void> {
    while (this.#running !== undefined && this.#batch.bytes > COMMIT_BYTES) await this.#running
    await this.#segment?.drained(PENDING_BYTES)
  }

  /** Finishes the commits that were asked for; what nobody asked for is dropped. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    const last = this.#batch
    if (last.wanted) await last.done.catch(() => undefined)
    while (this.#running !== undefined) await this.#running
    if (last === this.#batch) {
      last.lose(new EmbeddedStoreError('closed', 'the store was closed before this was committed'))
      last.settle()
    }
    await this.#segment?.close(this.#tables)
    this.#segment = undefined
  }

  /** Sees to it that the batch at hand is published: at once, or after the one that is being published. */
  #publishSoon(): void {
    if (this.#batch.wanted) return
    this.#batch.wanted = true
    if (this.#running === undefined) this.#startPublishing()
  }

  #startPublishing(): void {
    this.#running = this.#publish().then(() => {
      this.#running = undefined
      if (this.#batch.wanted) this.#startPublishing()
    })
  }

  /** Never rejects: the batch carries the outcome. */
  async #publish(): Promise<void> {
    const batch = this.#batch
    try {
      this.#flushStaging()
      this.#batch = new Batch()
      this.#publishing = batch
      const states = await this.#sync(batch)
      await this.#tables.publish({ content: batch.content, entries: batch.entries, segments: states })
      await this.#closeSealed(batch, states)
    } catch (error) {
      await this.#abandon(batch, wrapError(error, 'commit to the store'))
    } finally {
      this.#publishing = undefined
      batch.settle()
    }
  }

  /** Gets everything of a batch to disk; a segment that is full, or was left for another, is sealed. */
  async #sync(batch: Batch): Promise<Map<number, SegmentState>> {
    const current = this.#segment
    if (current !== undefined && current.length >= this.#segmentSize) this.#segment = undefined
    const synced = await Promise.allSettled(
      batch.segments.map(
        async (segment) => [segment.id, await segment.sync(segment !== this.#segment)] as const,
      ),
    )
    return new Map(
      synced.map((one) => {
        if (one.status === 'rejected') throw one.reason
        return one.value
      }),
    )
  }

  async #closeSealed(batch: Batch, states: ReadonlyMap<number, SegmentState>): Promise<void> {
    for (const segment of batch.segments) {
      if (states.get(segment.id)?.sealed === true) await segment.close(this.#tables)
    }
  }

  /**
   * After a failed commit nothing of it becomes visible. What was appended meanwhile lies behind it in the same
   * segment and is lost with it; writing goes on in a segment that is cut clean.
   */
  async #abandon(batch: Batch, error: EmbeddedStoreError): Promise<void> {
    const gathered = this.#batch
    this.#batch = new Batch()
    this.#staging.clear()
    const segments = new Set([...batch.segments, ...gathered.segments])
    if (this.#segment !== undefined) segments.add(this.#segment)
    this.#segment = undefined
    batch.lose(error)
    gathered.lose(error)
    // The last first: what is in it leans on what is in those before.
    for (const segment of [...segments].reverse()) await segment.close(this.#tables)
    gathered.settle()
  }

  #writer(): SegmentWriter {
    if (this.#segment === undefined || this.#segment.length >= this.#segmentSize) {
      try {
        this.#segment = SegmentWriter.acquire(this.#folder, this.#tables, this.#salt, this.#segmentSize)
      } catch (error) {
        throw wrapError(error, 'open a segment for writing')
      }
    }
    if (!this.#batch.segments.includes(this.#segment)) this.#batch.segments.push(this.#segment)
    return this.#segment
  }

  /** @param pack writes a record of so much content */
  #stage(
    rawLength: number,
    pack: (out: Uint8Array, at: number) => number,
  ): { offset: number; length: number } {
    this.#checkOpen()
    const bound = packedBound(rawLength)
    const staging = this.#staging
    const segmentIsFull = staging.length > 0 && this.#writer().length + staging.length >= this.#segmentSize
    if (segmentIsFull || !staging.fits(bound)) this.#flushStaging()
    if (!staging.fits(bound)) staging.makeRoom(bound)
    const length = staging.add(pack)
    const offset = this.#writer().length + staging.length - length
    this.#batch.bytes += length
    return { offset, length }
  }

  #flushStaging(): void {
    if (this.#staging.length === 0) return
    const { bytes, release } = this.#staging.take()
    // A failed write shows when the segment is synced.
    this.#writer().append([bytes]).written.then(release, release)
  }

  #index(key: Uint8Array, offset: number, storedLength: number, rawLength: number): void {
    const location = encodeLocation(this.#writer().id, offset, storedLength, rawLength)
    this.#batch.content.set(keyText(key), location)
  }

  #appended(): Batch {
    const batch = this.#batch
    const full = batch.bytes >= COMMIT_BYTES || batch.content.size + batch.entries.length >= COMMIT_ENTRIES
    if (full) this.#publishSoon()
    return batch
  }

  #checkOpen(): void {
    if (this.#closed) throw new EmbeddedStoreError('closed', 'the store is closed')
  }
}

/** Since 1970. Several processes may change one entry within a millisecond. */
function microseconds(): number {
  const milliseconds = Date.now()
  // Within the millisecond, however far the two clocks have drifted apart: the collector counts on that.
  const within = Math.floor((performance.timeOrigin + performance.now() - milliseconds) * 1000)
  return milliseconds * 1000 + Math.min(Math.max(within, 0), 999)
}
