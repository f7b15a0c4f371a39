import { EmbeddedStoreError, wrapError } from './errors.js'
import {
  KEY_LENGTH,
  MAX_RECORD_CONTENT,
  packedBound,
  packRecord,
  RECORD_HEADER,
  RecordKind,
} from './record.js'
import { SegmentWriter } from './segment-writer.js'
import { encodeLocation, type SegmentState, type TableName, type Tables } from './tables.js'

/** The tables that are also written to the segments, so that they can be made anew from there. */
const RECORDED: Partial<Record<TableName, RecordKind>> = {
  blobs: RecordKind.blobs,
  directories: RecordKind.directories,
  pathInfos: RecordKind.pathInfos,
}

const STAGING = 256 * 1024
/** A segment is sealed once it has this length, in bytes. */
export const SEGMENT_SIZE = 256 * 1024 * 1024
/** So much may wait for a commit before one is started without being asked for, in bytes and in entries. */
const COMMIT_BYTES = 128 * 1024 * 1024
const COMMIT_ENTRIES = 50_000

/** Where one record lies in a {@link PackedRun}. Offsets and lengths are in bytes. */
export interface PackedRecord {
  readonly key: Uint8Array
  /** Offset of the record in the run. */
  readonly offset: number
  /** Length of the stored payload. */
  readonly storedLength: number
  /** Length of the content. */
  readonly rawLength: number
}

/** What is published together. `done` settles when it is on disk and visible, or lost. */
class Batch {
  readonly content: (readonly [Uint8Array, Uint8Array])[] = []
  readonly entries: (readonly [TableName, Uint8Array, Uint8Array | undefined])[] = []
  readonly segments: SegmentWriter[] = []
  readonly keys = new Set<string>()
  readonly done: Promise<void>
  bytes = 0
  settle!: (error?: unknown) => void

  constructor() {
    this.done = new Promise((resolve, reject) => {
      this.settle = (error) => (error === undefined ? resolve() : reject(error))
    })
    // Whoever took part learns of a failure from its own commit.
    this.done.catch(() => undefined)
  }

  get empty(): boolean {
    return this.content.length === 0 && this.entries.length === 0
  }
}

const keyText = (key: Uint8Array): string =>
  Buffer.from(key.buffer, key.byteOffset, KEY_LENGTH).toString('latin1')

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
  #staging: Uint8Array = new Uint8Array(0)
  #staged = 0
  #closed = false

  constructor(folder: string, tables: Tables, salt: number, segmentSize: number) {
    this.#folder = folder
    this.#tables = tables
    this.#salt = salt
    this.#segmentSize = segmentSize
  }

  session(): WriteSession {
    return new WriteSession(this)
  }

  /** The batch that will publish this content, if it was appended and is not yet visible. */
  pendingBatch(key: Uint8Array): Batch | undefined {
    const text = keyText(key)
    if (this.#batch.keys.has(text)) return this.#batch
    return this.#publishing?.keys.has(text) === true ? this.#publishing : undefined
  }

  appendContent(key: Uint8Array, content: Uint8Array): Batch {
    const { offset, length } = this.#stage(RecordKind.content, key, content)
    this.#indexContent(key, offset, length - RECORD_HEADER, content.length)
    return this.#appended()
  }

  appendPacked(run: Uint8Array, records: readonly PackedRecord[]): { batch: Batch; written: Promise<void> } {
    this.#checkOpen()
    this.#flushStaging()
    const { offset, written } = this.#writer().append(run)
    this.#batch.bytes += run.length
    for (const record of records) {
      this.#indexContent(record.key, offset + record.offset, record.storedLength, record.rawLength)
    }
    return { batch: this.#appended(), written }
  }

  put(table: TableName, key: Uint8Array, value: Uint8Array | undefined): Batch {
    this.#checkOpen()
    const kind = RECORDED[table]
    if (kind !== undefined && value !== undefined) {
      const padded = new Uint8Array(KEY_LENGTH)
      padded.set(key)
      this.#stage(kind, padded, value)
    }
    this.#batch.entries.push([table, key, value])
    return this.#appended()
  }

  /** Waits until all of these batches are on disk and visible. */
  async commit(batches: Iterable<Batch>): Promise<void> {
    for (const batch of batches) {
      if (batch === this.#batch) void this.#publishNext()
      await batch.done
    }
  }

  /** Resolves once little enough waits to be written that more may be appended. */
  async room(): Promise<void> {
    while (this.#running !== undefined && this.#batch.bytes > COMMIT_BYTES) await this.#running
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    try {
      const last = this.#batch
      if (!last.empty) await this.commit([last])
      else await this.#running
    } finally {
      await this.#segment?.close()
      this.#segment = undefined
    }
  }

  async #publishNext(): Promise<void> {
    const wanted = this.#batch
    while (this.#running !== undefined) await this.#running
    if (this.#batch !== wanted) return
    this.#running = this.#publish().finally(() => {
      this.#running = undefined
    })
    await this.#running
  }

  /** Never rejects: the batch carries the outcome. */
  async #publish(): Promise<void> {
    const batch = this.#batch
    const current = this.#segment
    let full = false
    try {
      this.#flushStaging()
      this.#batch = new Batch()
      this.#publishing = batch
      full = current !== undefined && current.length >= this.#segmentSize
      if (full) this.#segment = undefined
      const states = new Map<number, SegmentState>()
      for (const segment of batch.segments) {
        states.set(segment.id, await segment.sync(full || segment !== current))
      }
      await this.#tables.publish({ content: batch.content, entries: batch.entries, segments: states })
      for (const segment of batch.segments) {
        const state = states.get(segment.id)
        if (state !== undefined) segment.published(state)
        if (state?.sealed === true) await segment.close()
      }
      batch.settle()
    } catch (error) {
      await this.#abandon(batch, wrapError(error, 'commit to the store'))
    } finally {
      this.#publishing = undefined
    }
  }

  /**
   * After a failed commit nothing of it becomes visible. What was appended meanwhile lies behind it in the same
   * segment and is lost with it; writing goes on in a segment that is cut clean.
   */
  async #abandon(batch: Batch, error: EmbeddedStoreError): Promise<void> {
    const lost = this.#batch
    this.#batch = new Batch()
    this.#staging = new Uint8Array(0)
    this.#staged = 0
    const segments = new Set([...batch.segments, ...lost.segments])
    if (this.#segment !== undefined) segments.add(this.#segment)
    this.#segment = undefined
    for (const segment of segments) await segment.close()
    batch.settle(error)
    lost.settle(error)
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

  #stage(kind: RecordKind, key: Uint8Array, content: Uint8Array): { offset: number; length: number } {
    this.#checkOpen()
    if (key.length !== KEY_LENGTH) {
      throw new EmbeddedStoreError(
        'invalid-input',
        `a key must have ${KEY_LENGTH} bytes, this has ${key.length}`,
      )
    }
    if (content.length > MAX_RECORD_CONTENT) {
      throw new EmbeddedStoreError(
        'invalid-input',
        `a record may hold ${MAX_RECORD_CONTENT} bytes, this has ${content.length}`,
      )
    }
    const bound = packedBound(content.length)
    if (this.#staged + bound > this.#staging.length) {
      this.#flushStaging()
      this.#staging = Buffer.allocUnsafeSlow(Math.max(STAGING, bound))
    }
    const length = packRecord(this.#staging, this.#staged, kind, key, content, this.#salt)
    const offset = this.#writer().length + this.#staged
    this.#staged += length
    this.#batch.bytes += length
    return { offset, length }
  }

  #flushStaging(): void {
    if (this.#staged === 0) return
    const run = this.#staging.subarray(0, this.#staged)
    this.#staging = new Uint8Array(0)
    this.#staged = 0
    // A failed write shows when the segment is synced.
    this.#writer()
      .append(run)
      .written.catch(() => undefined)
  }

  #indexContent(key: Uint8Array, offset: number, storedLength: number, rawLength: number): void {
    this.#batch.content.push([key, encodeLocation(this.#writer().id, offset, storedLength, rawLength)])
    this.#batch.keys.add(keyText(key))
  }

  #appended(): Batch {
    const batch = this.#batch
    if (
      this.#running === undefined &&
      (batch.bytes >= COMMIT_BYTES || batch.content.length >= COMMIT_ENTRIES)
    ) {
      void this.#publishNext()
    }
    return batch
  }

  #checkOpen(): void {
    if (this.#closed) throw new EmbeddedStoreError('closed', 'the store is closed')
  }
}

/**
 * The writes of one caller. Nothing of them is promised until {@link commit} resolves; sessions of many callers are
 * published together. A session need not be closed: what was appended without a commit may or may not be published.
 */
export class WriteSession {
  readonly #writer: StoreWriter
  readonly #touched = new Set<Batch>()

  constructor(writer: StoreWriter) {
    this.#writer = writer
  }

  /**
   * Whether another append of this content is under way, so that it need not be appended again. If so, this session's
   * commit waits for that one too.
   */
  joinPending(key: Uint8Array): boolean {
    const batch = this.#writer.pendingBatch(key)
    if (batch !== undefined) this.#touched.add(batch)
    return batch !== undefined
  }

  /** Appends content under its key. Both are copied or compressed before the call returns, but the key is kept. */
  appendContent(key: Uint8Array, content: Uint8Array): void {
    this.#touched.add(this.#writer.appendContent(key, content))
  }

  /**
   * Appends a run of records that were framed with `packRecord` and this store's salt. `run` belongs to the store until
   * the promise settles; the keys are kept.
   */
  appendPacked(run: Uint8Array, records: readonly PackedRecord[]): Promise<void> {
    const { batch, written } = this.#writer.appendPacked(run, records)
    this.#touched.add(batch)
    return written
  }

  /** Sets an entry of a table. Key and value are kept: do not modify them afterwards. */
  put(table: TableName, key: Uint8Array, value: Uint8Array): void {
    this.#touched.add(this.#writer.put(table, key, value))
  }

  /** Removes an entry of a table. */
  remove(table: TableName, key: Uint8Array): void {
    this.#touched.add(this.#writer.put(table, key, undefined))
  }

  /** Resolves once little enough waits to be written that more may be appended: await it between large appends. */
  room(): Promise<void> {
    return this.#writer.room()
  }

  /**
   * Resolves when everything that this session wrote is on disk and visible to all processes.
   *
   * @throws {@link EmbeddedStoreError} when any of it was lost (`no-space`, `io`): then nothing of what was not yet
   *   committed may be relied on, and the session can be used again from the start
   */
  async commit(): Promise<void> {
    const batches = [...this.#touched]
    this.#touched.clear()
    await this.#writer.commit(batches)
  }
}
